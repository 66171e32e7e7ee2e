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
    # Where groups are asked for, as by profiles/slurm; a dry run of others is to show the cells one by one.
    group:
        lambda w: (
            asked.group(f"{w.paper}/{w.experiment}/{w.cell}", w.scale)
            if workflow.group_settings.group_components
            else None
        )
    conda:
        "../../environment.yml"
    threads: lambda w: asked.threads(f"{w.paper}/{w.experiment}/{w.cell}", w.scale)
    resources:
        device=asked.device,
        gpu=asked.gpus,
        seeds=asked.run_options,
        # For a cluster. A retry goes on from the last checkpoint: it may need more memory, but not more time.
        runtime=lambda w, threads: asked.needs(
            f"{w.paper}/{w.experiment}/{w.cell}", w.scale, threads
        ).minutes,
        mem_mb=lambda w, threads, attempt: attempt
        * asked.needs(f"{w.paper}/{w.experiment}/{w.cell}", w.scale, threads).mem_mb,
    params:
        digest=lambda w: asked.run_param(f"{w.paper}/{w.experiment}/{w.cell}", w.scale),
    shell:
        "python -m papers run {wildcards.paper}/{wildcards.experiment}/{wildcards.cell}"
        " --scale {wildcards.scale} --threads {threads} --device {resources.device}{resources.seeds}"
        " --parent $PPID"
        " 2>&1 >> {log} | tee -a {log} >&2"
