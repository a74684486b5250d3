# One run: one fresh process measuring one cell in one round.
import dataclasses
import json

from framebench import catalogue, matrix

ORDER = matrix.order(CONFIG)


rule measure:
    input:
        environment=lambda wildcards: ancient(
            f"{PREFIXES[wildcards.framework]}/.complete"
        ),
        data=rules.data.output,
        sources=lambda wildcards: catalogue.sources(
            wildcards.framework, wildcards.workload
        ),
    output:
        ensure(f"{RESULTS}/{matrix.RECORD}", non_empty=True),
    log:
        f"{RESULTS}/logs/{matrix.RECORD.removesuffix('.json')}.log",
    # All cells once before any cell twice, in the seeded order.
    priority: lambda wildcards: len(ORDER) - ORDER[matrix.run_of(wildcards)]
    # Every core, so that nothing else of this workflow runs beside a measurement.
    threads: workflow.cores
    resources:
        measuring=1,
        # Not `params`: where a run stands in the campaign is no reason to measure it again.
        order=lambda wildcards: ORDER[matrix.run_of(wildcards)],
        planned=len(ORDER),
    params:
        prefix=lambda wildcards: PREFIXES[wildcards.framework],
        digest=lambda wildcards: DIGESTS[wildcards.framework],
        certificate=lambda wildcards: certificate_id(wildcards),
        runs=subpath(output[0], ancestor=8),
        seed=CONFIG.protocol.seed,
        thread_count=CONFIG.protocol.threads,
        protocol=json.dumps(dataclasses.asdict(CONFIG.protocol)),
    shell:
        # `exec`: the measuring process is Snakemake's own child and so dies with it.
        "exec {params.prefix}/bin/python -P -m framebench.measure"
        " --device {wildcards.device} --workload {wildcards.workload} --framework {wildcards.framework}"
        " --track {wildcards.track} --precision {wildcards.precision} --input {wildcards.input}"
        " --batch-size {wildcards.batch_size} --round {wildcards.round}"
        " --seed {params.seed} --threads {params.thread_count} --protocol {params.protocol:q}"
        " --lock-digest {params.digest} --certificate {params.certificate}"
        " --order {resources.order} --planned {resources.planned} --runs {params.runs}"
        " --data {input.data} --environment {params.prefix} --parent $PPID --log {log} --output {output}"
