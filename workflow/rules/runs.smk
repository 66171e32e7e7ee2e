rule run:
    """Trains the members of one cell that are not finished yet."""
    input:
        lambda w: asked.run_inputs(
            f"{w.paper}/{w.experiment}/{w.cell}", w.scale, workflow.dag.forcefiles
        ),
    output:
        metrics="results/{scale}/{paper}/{experiment}/{cell}/metrics.csv",
        record="results/{scale}/{paper}/{experiment}/{cell}/run.json",
    log:
        "logs/{scale}/{paper}/{experiment}/{cell}.log",
    conda:
        "../../environment.yml"
    threads: lambda w: catalog.cell(f"{w.paper}/{w.experiment}/{w.cell}", w.scale).threads(1000)
    resources:
        device=asked.device,
        gpu=asked.gpus,
        seeds=asked.run_options,
    params:
        digest=lambda w: asked.run_param(f"{w.paper}/{w.experiment}/{w.cell}", w.scale),
    shell:
        "python -m papers run {wildcards.paper}/{wildcards.experiment}/{wildcards.cell}"
        " --scale {wildcards.scale} --threads {threads} --device {resources.device}{resources.seeds}"
        " --parent $PPID"
        " 2>&1 >> {log} | tee -a {log} >&2"
