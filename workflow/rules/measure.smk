# One run: one fresh process measuring one cell in one round.
import dataclasses
import json


def environment_options(wildcards):
    """What a measuring command is told of the environment that it must find itself in."""
    environment = environment_of(wildcards)
    site = " --site" if environment.packages else ""
    return (
        f"--environment {environment.prefix} --lock-digest {environment.digest}{site}"
    )


rule tune:
    """The settings of track `tuned`, found by a search in which every trial is a run."""
    input:
        environment=lambda wildcards: ancient(environment_of(wildcards).ready),
        data=data_of,
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
    params:
        place=lambda wildcards: place_of(wildcards),
        modules=lambda wildcards: modules_of(wildcards),
        sources=lambda wildcards: catalogue.sources_digest(
            wildcards.framework, wildcards.workload
        ),
        environment=lambda wildcards: environment_options(wildcards),
        python=lambda wildcards: environment_of(wildcards).python,
        options=lambda wildcards: json.dumps(
            catalogue.adapter(wildcards.framework).options_of(
                kind="cuda" if wildcards.device in CONFIG.on_gpus else "cpu",
                trains=workloads.load(wildcards.workload).trains,
            )
        ),
        trials=f"--trials {CONFIG.tuning_trials}",
        seed=f"--seed {CONFIG.protocol.seed}",
        thread_count=f"--threads {CONFIG.protocol.threads}",
        protocol=json.dumps(dataclasses.asdict(CONFIG.protocol)),
    shell:
        "{params.modules} exec {params.python} -P -m framebench.measure.tune"
        " --device {wildcards.device} {params.place} --workload {wildcards.workload} --framework {wildcards.framework}"
        " --precision {wildcards.precision} --input {wildcards.input} --options {params.options:q}"
        " {params.trials} {params.seed} {params.thread_count}"
        " --protocol {params.protocol:q} {params.environment} --data {input.data}"
        " --parent $PPID --log {log} --output {output}"


def tuning_of(wildcards):
    """The settings found for a cell of track `tuned`; nothing for one of track `default`."""
    return expand(TUNING, **wildcards) if wildcards.track == "tuned" else []


def place(wildcards):
    """Where a run stands in its campaign."""
    return PLACES[wildcards.campaign][matrix.run_of(wildcards)]


rule measure:
    input:
        environment=lambda wildcards: ancient(environment_of(wildcards).ready),
        data=data_of,
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
        planned=lambda wildcards: len(PLACES[wildcards.campaign]),
    params:
        place=lambda wildcards: place_of(wildcards),
        modules=lambda wildcards: modules_of(wildcards),
        sources=lambda wildcards: catalogue.sources_digest(
            wildcards.framework, wildcards.workload
        ),
        environment=lambda wildcards: environment_options(wildcards),
        python=lambda wildcards: environment_of(wildcards).python,
        tuning=lambda wildcards, input: (
            f"--tuning {input.tuning}" if input.tuning else ""
        ),
        certificate=lambda wildcards: certificate_id(wildcards),
        runs=subpath(output[0], ancestor=8),
        seed=f"--seed {CONFIG.protocol.seed}",
        thread_count=f"--threads {CONFIG.protocol.threads}",
        protocol=json.dumps(dataclasses.asdict(CONFIG.protocol)),
    shell:
        # `exec`: the measuring process is Snakemake's own child and so dies with it.
        "{params.modules} exec {params.python} -P -m framebench.measure"
        " --device {wildcards.device} {params.place} --workload {wildcards.workload} --framework {wildcards.framework}"
        " --track {wildcards.track} --precision {wildcards.precision} --input {wildcards.input}"
        " --batch-size {wildcards.batch_size} --round {wildcards.round}"
        " {params.seed} {params.thread_count} --protocol {params.protocol:q}"
        " {params.environment} --certificate {params.certificate}"
        " {params.tuning} --order {resources.order} --planned {resources.planned} --runs {params.runs}"
        " --data {input.data} --parent $PPID --log {log} --output {output}"
