rule claims:
    """Tests the claims of one paper on the cells that their arguments name."""
    input:
        lambda w: asked.inputs(f"claims_{w.paper}", w.at),
    output:
        main=report(
            "figures/{at}claims_{paper}.md",
            caption="../report/claims.rst",
            category="claims",
            labels={"paper": "{at}{paper}"},
        ),
        csv="figures/{at}claims_{paper}.csv",
    log:
        "logs/figures/{at}claims_{paper}.log",
    conda:
        "../../environment.yml"
    params:
        digest=lambda w: catalog.artefact_digest(f"claims_{w.paper}"),
        scale=lambda w: asked.scale(w.at),
        options=asked.options,
    shell:
        "python -m papers judge {wildcards.paper} --scale {params.scale} --output {output.main}"
        " {params.options} 2>&1 >> {log} | tee -a {log} >&2"
