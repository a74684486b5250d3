# What measures: every run, each trial of a search too, is one fresh process of one cell.
import json

from framebench.measure.protocol import few_steps

# What the rules that measure have in common.
MEASURING_INPUT = {
    "environment": lambda wildcards: ancient(environment_of(wildcards).ready),
    "data": data_of,
}
MEASURING_PARAMS = {
    "modules": modules_of,
    "python": lambda wildcards: environment_of(wildcards).python,
    "sources": lambda wildcards: catalogue.sources_digest(
        wildcards.framework, wildcards.workload
    ),
}
# The searches for tuned settings, in the order of the matrix.
SEARCHES = list(
    dict.fromkeys(
        TUNING.format(**vars(cell))
        for cell in matrix.cells(CONFIG)
        if cell.track == "tuned"
    )
)
# What bounds a trial on the CPU, as the GPU's own memory does there.
HOST_MEMORY = f"--host-memory-mib {CONFIG.largest_batch.host_memory_mib}"


rule measure:
    input:
        **MEASURING_INPUT,
        tuning=lambda wildcards: tuning_of(wildcards),
    output:
        ensure(f"{RESULTS}/{{campaign}}{matrix.RECORD}", non_empty=True),
    log:
        f"{RESULTS}/logs/{{campaign}}{matrix.RECORD.removesuffix('.json')}.log",
    wildcard_constraints:
        campaign="|".join(CAMPAIGNS),
    # All cells once before any cell twice, in the seeded order.
    priority: lambda wildcards: -place(wildcards)
    # On a cluster, the frameworks of a block's round run one after another in one job, and so on one GPU.
    group:
        matrix.TOGETHER if REQUESTS else None
    # Every core, so that nothing else of this workflow runs beside a measurement.
    threads: workflow.cores
    resources:
        **slurm_resources(),
        measuring=1,
        # Not `params`: where a run stands in the campaign is no reason to measure it again.
        order=lambda wildcards: place(wildcards),
        planned=lambda wildcards: PLANNED.format(campaign=wildcards.campaign),
    params:
        **MEASURING_PARAMS,
        request=lambda wildcards: request_options(wildcards),
        tuning=lambda wildcards, input: (
            f"--tuning {input.tuning}" if input.tuning else ""
        ),
        certificate=lambda wildcards: certificate_id(wildcards),
    shell:
        # `exec`: the measuring process is Snakemake's own child and so dies with it.
        "{params.modules} exec {params.python} -P -m framebench.measure {params.request}"
        " --round {wildcards.round} --certificate {params.certificate} {params.tuning}"
        " --order {resources.order} --planned {resources.planned}"
        " --data {input.data} --parent $PPID --log {log} --output {output}"


rule tune:
    """The settings of track `tuned`, found by a search in which every trial is a run."""
    input:
        **MEASURING_INPUT,
        code=catalogue.code("framebench.measure.tune"),
    output:
        TUNING,
    log:
        f"{RESULTS}/logs/tuning/{{device}}-{{workload}}-{{framework}}-{{precision}}-{{input}}.log",
    # Before any run and, as a run, with nothing beside it.
    priority: 10**5
    threads: workflow.cores
    resources:
        **slurm_resources(runs=CONFIG.tuning_trials),
        measuring=1,
        # Not `params`: where a search stands among the others is no reason to search again.
        stage=lambda wildcards: stage("tuning", TUNING.format(**wildcards), SEARCHES),
    params:
        **MEASURING_PARAMS,
        request=lambda wildcards: request_options(wildcards),
        options=lambda wildcards: json.dumps(
            catalogue.adapter(wildcards.framework).options_of(
                kind="cuda" if wildcards.device in CONFIG.on_gpus else "cpu",
                trains=workloads.load(wildcards.workload).trains,
            )
        ),
        trials=f"--trials {CONFIG.tuning_trials}",
    shell:
        "echo {resources.stage:q} {wildcards.workload} in {wildcards.framework} >&2;"
        " {params.modules} exec {params.python} -P -m framebench.measure.tune {params.request}"
        " --options {params.options:q} {params.trials}"
        " --data {input.data} --parent $PPID --log {log} --output {output}"


rule search_largest_batch:
    """The largest batch that trains, found by a search in which every trial is a fresh process, as a run is."""
    input:
        **MEASURING_INPUT,
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
        **MEASURING_PARAMS,
        # What of the protocol does not bear on a search is no reason to search again.
        request=lambda wildcards: request_options(wildcards, few_steps(CONFIG.protocol)),
        host_memory=lambda wildcards: "" if place_of(wildcards) else HOST_MEMORY,
        start=f"--start {CONFIG.largest_batch.start}",
        at_most=f"--at-most {CONFIG.largest_batch.at_most}",
    shell:
        "{params.modules} exec {params.python} -P -m framebench.measure.largest {params.request}"
        " {params.host_memory} {params.start} {params.at_most}"
        " --data {input.data} --parent $PPID --log {log} --output {output}"
