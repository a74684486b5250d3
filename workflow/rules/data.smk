# The training samples of every framework.


rule data:
    """All samples of a kind, in one file."""
    output:
        SAMPLES,
    log:
        f"{RESULTS}/logs/data-{{kind}}.log",
    wildcard_constraints:
        kind="|".join(DATA),
    priority: 10**6
    params:
        source=lambda wildcards: DATA[wildcards.kind].source,
        samples=lambda wildcards: DATA[wildcards.kind].samples,
        seed=f"--seed {CONFIG.protocol.seed}",
        archive=lambda wildcards: (
            ["--archive", DATA[wildcards.kind].archive]
            if DATA[wildcards.kind].archive
            else []
        ),
        md5=lambda wildcards: (
            ["--md5", DATA[wildcards.kind].md5] if DATA[wildcards.kind].md5 else []
        ),
    shell:
        "python -P -m framebench data --kind {wildcards.kind} --source {params.source} --samples {params.samples}"
        " {params.seed} {params.archive:q} {params.md5:q} --output {output:q} 2>&1 | tee {log:q} >&2"
