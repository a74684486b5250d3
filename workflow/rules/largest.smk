# The largest batch that trains, as a search, a table and a figure of its own.
import dataclasses
import json

from framebench.plan import catalogue, matrix
from framebench.figures import names

LARGEST_BATCH = matrix.largest_batch_paths(CONFIG)
# What bounds a trial on the CPU, as the GPU's own memory does there.
HOST_MEMORY = f"--host-memory-mib {CONFIG.largest_batch.host_memory_mib}"


rule search_largest_batch:
    """Every trial is a fresh process, as a run is."""
    input:
        environment=lambda wildcards: ancient(environment_of(wildcards).ready),
        data=data_of,
        code=catalogue.code("framebench.measure.largest"),
    output:
        f"{RESULTS}/{matrix.LARGEST_BATCH}",
    log:
        f"{RESULTS}/logs/{matrix.LARGEST_BATCH.removesuffix('.json')}.log",
    # After the runs, and with nothing beside it.
    priority: -(10**6)
    threads: workflow.cores
    resources:
        **slurm_resources(runs=CONFIG.largest_batch.most_trials),
        measuring=1,
    params:
        place=lambda wildcards: place_of(wildcards) or HOST_MEMORY,
        modules=lambda wildcards: modules_of(wildcards),
        sources=lambda wildcards: catalogue.sources_digest(
            wildcards.framework, wildcards.workload
        ),
        environment=lambda wildcards: environment_options(wildcards),
        python=lambda wildcards: environment_of(wildcards).python,
        start=f"--start {CONFIG.largest_batch.start}",
        at_most=f"--at-most {CONFIG.largest_batch.at_most}",
        seed=f"--seed {CONFIG.protocol.seed}",
        thread_count=f"--threads {CONFIG.protocol.threads}",
        # Warm-up and blocks are the search's own.
        protocol=json.dumps(
            {
                name: value
                for name, value in dataclasses.asdict(CONFIG.protocol).items()
                if name in ("cores", "sampler_hz", "timeout_s")
            }
        ),
    shell:
        "{params.modules} exec {params.python} -P -m framebench.measure.largest"
        " --device {wildcards.device} {params.place} --workload {wildcards.workload}"
        " --framework {wildcards.framework} --precision {wildcards.precision}"
        " {params.start} {params.at_most} {params.seed} {params.thread_count}"
        " --protocol {params.protocol:q} {params.environment} --data {input.data}"
        " --parent $PPID --log {log} --output {output}"


rule largest_batch_table:
    input:
        searches=LARGEST_BATCH,
        code=catalogue.code("framebench.analyse.largest_batch"),
    output:
        f"{RESULTS}/largest_batch.csv",
    log:
        f"{RESULTS}/logs/largest_batch.log",
    shell:
        "python -P -m framebench.analyse.largest_batch {input.searches} --output {output} 2>&1 | tee {log:q} >&2"


rule figure_largest_batch:
    input:
        code=catalogue.code("framebench.figures"),
        texts=texts,
        searches=rules.largest_batch_table.output,
    output:
        svg=report(
            f"{RESULTS}/figures/{{language}}/{names.LARGEST_BATCH}.svg",
            **FIGURE_IN_REPORT,
            labels={"figure": names.LARGEST_BATCH},
        ),
        png=f"{RESULTS}/figures/{{language}}/{names.LARGEST_BATCH}.png",
    log:
        f"{RESULTS}/logs/figures/{{language}}-{names.LARGEST_BATCH}.log",
    shell:
        "python -P -m framebench.figures largest-batch --language {wildcards.language}"
        " --searches {input.searches} --output-svg {output.svg} --output-png {output.png} 2>&1 | tee {log:q} >&2"


use rule complete as largest_batch_complete with:
    input:
        LARGEST_BATCH,
        code=catalogue.code("framebench.analyse.failures"),
        searches=rules.largest_batch_table.output,
    output:
        touch(f"{RESULTS}/.largest-batch-complete"),
    log:
        f"{RESULTS}/logs/largest_batch_complete.log",
    params:
        table=lambda wildcards, input: f"--largest-batch {input.searches}",


rule largest_batch:
    """The largest batch that trains, on every GPU, and on the CPU within the memory that the configuration allows."""
    name:
        "largest-batch"
    input:
        rules.largest_batch_table.output,
        every_language([names.LARGEST_BATCH]),
        rules.largest_batch_complete.output,
