rule figure:
    """Draws one figure from the cells that its arguments name."""
    input:
        lambda w: asked.inputs(w.figure, w.at),
    output:
        main=report(
            "figures/{at}{figure}.pdf",
            caption="../report/figure.rst",
            category="figures",
            labels={"figure": "{at}{figure}"},
        ),
        png="figures/{at}{figure}.png",
    log:
        "logs/figures/{at}{figure}.log",
    conda:
        "../../environment.yml"
    params:
        digest=lambda w: catalog.artefact_digest(w.figure),
        scale=lambda w: asked.scale(w.at),
        options=asked.options,
    shell:
        "python -m papers draw {wildcards.figure} --scale {params.scale} --output {output.main}"
        " {params.options} 2>&1 >> {log} | tee -a {log} >&2"
