rule claims:
    """Tests the claims of one paper on the cells that their arguments name."""
    input:
        lambda w: sources.inputs(f"claims_{w.paper}", scale(w), FRESH, "figures/{at}claims_{paper}.md".format(**w)),
    output:
        report("figures/{at}claims_{paper}.md", category="claims", labels={"paper": "{at}{paper}"}),
        "figures/{at}claims_{paper}.csv",
    log:
        "logs/figures/{at}claims_{paper}.log",
    params:
        digest=lambda w: catalog.artefact_digest(f"claims_{w.paper}"),
        scale=scale,
    shell:
        "python -m papers judge {wildcards.paper} --scale {params.scale} --output {output[0]}"
        " {FRESH} 2>&1 >> {log} | tee -a {log} >&2"
