rule data:
    """The images that every framework is trained on, in one file."""
    output:
        f"{RESULTS}/data/{CONFIG.data.source}.npz",
    log:
        f"{RESULTS}/logs/data.log",
    priority: 10**6
    params:
        source=CONFIG.data.source,
        samples=CONFIG.data.samples,
        seed=f"--seed {CONFIG.protocol.seed}",
        archive=["--archive", CONFIG.data.archive] if CONFIG.data.archive else [],
        md5=CONFIG.data.md5,
    shell:
        "python -P -m framebench.data --source {params.source} --samples {params.samples} {params.seed}"
        " {params.archive:q} --md5 {params.md5} --output {output:q} 2>&1 | tee {log:q} >&2"
