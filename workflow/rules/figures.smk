rule figure:
    """Draws one figure from the cells that its arguments name."""
    input:
        lambda w: sources.inputs(w.figure, scale(w), FRESH, "figures/{at}{figure}.pdf".format(**w)),
    output:
        report("figures/{at}{figure}.pdf", category="figures", labels={"figure": "{at}{figure}"}),
        "figures/{at}{figure}.png",
    log:
        "logs/figures/{at}{figure}.log",
    params:
        digest=lambda w: catalog.artefact_digest(w.figure),
        scale=scale,
    shell:
        "python -m papers draw {wildcards.figure} --scale {params.scale} --output {output[0]}"
        " {FRESH} 2>&1 >> {log} | tee -a {log} >&2"
