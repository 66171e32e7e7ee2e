rule table:
    """Writes one table from the cells that its arguments name."""
    input:
        lambda w: asked.inputs(w.table, w.at),
    output:
        main=report(
            "figures/{at}{table}.md",
            caption="../report/table.rst",
            category="tables",
            labels={"table": "{at}{table}"},
        ),
        tex="figures/{at}{table}.tex",
        csv="figures/{at}{table}.csv",
    log:
        "logs/figures/{at}{table}.log",
    conda:
        "../../environment.yml"
    params:
        digest=lambda w: catalog.artefact_digest(w.table),
        scale=lambda w: asked.scale(w.at),
        options=asked.options,
    shell:
        "python -m papers tabulate {wildcards.table} --scale {params.scale} --output {output.main}"
        " {params.options} 2>&1 >> {log} | tee -a {log} >&2"
