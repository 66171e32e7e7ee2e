rule table:
    """Writes one table from the cells that its arguments name."""
    input:
        lambda w: sources.inputs(w.table, scale(w), FRESH, "figures/{at}{table}.md".format(**w)),
    output:
        report("figures/{at}{table}.md", category="tables", labels={"table": "{at}{table}"}),
        "figures/{at}{table}.tex",
        "figures/{at}{table}.csv",
    log:
        "logs/figures/{at}{table}.log",
    params:
        digest=lambda w: catalog.artefact_digest(w.table),
        scale=scale,
    shell:
        "python -m papers tabulate {wildcards.table} --scale {params.scale} --output {output[0]}"
        " {FRESH} 2>&1 >> {log} | tee -a {log} >&2"
