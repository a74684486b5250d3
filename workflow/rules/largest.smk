# The largest batch that trains, as a search.
import dataclasses
import json

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
