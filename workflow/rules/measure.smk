# Measuring: every run, and every trial of a search, is one fresh process of one cell.
import json

from framebench.measure.protocol import few_steps

# Shared by the rules that measure.
MEASURING_INPUT = {
    "environment": lambda wildcards: ready([environment_of(wildcards)]),
    "data": data_of,
}
MEASURING_PARAMS = {
    "sources": lambda wildcards: catalogue.sources_digest(
        wildcards.framework, wildcards.workload
    ),
}
LOG = matrix.RECORD.replace(".json", ".log")
# The searches for tuned settings, in the order of the matrix.
SEARCHES = list(
    dict.fromkeys(
        TUNING.format(**vars(cell))
        for cell in matrix.cells(CONFIG)
        if cell.track == "tuned"
    )
)


for campaign, config_of_campaign in CAMPAIGNS.items():
    for shape in matrix.shapes(config_of_campaign):

        rule:
            """Measure one block in one round: a fresh process of every framework, in every track of this shape."""
            name:
                shape.rule(campaign)
            input:
                unpack(lambda wildcards, shape=shape: inputs_of(shape, wildcards)),
            output:
                [
                    ensure(path, non_empty=True)
                    for path in shape.files(f"{RESULTS}/{campaign}{matrix.RECORD}")
                ],
            log:
                shape.files(f"{RESULTS}/logs/{campaign}{LOG}"),
            wildcard_constraints:
                batch_size="|".join(map(str, shape.batch_sizes)),
                round=r"\d+",
            # In the order of the campaign: see `matrix.campaign`.
            priority:
                lambda wildcards, campaign=campaign, shape=shape: -min(
                    places(campaign, shape, wildcards)
                )
            # Every core, so that no other job of this workflow runs beside a measurement.
            threads: workflow.cores
            resources:
                **slurm_resources(runs=len(shape.members())),
                measuring=1,
                # Not `params`: the position of a run in the campaign is no reason to measure it again.
                order=lambda wildcards, campaign=campaign, shape=shape: json.dumps(
                    places(campaign, shape, wildcards), separators=(",", ":")
                ),
                planned=PLANNED.format(campaign=campaign),
            params:
                members=lambda wildcards, shape=shape: member_options(shape, wildcards),
                place=lambda wildcards, shape=shape: place_options(
                    wildcards, CONFIG.protocol
                ),
                fixed=f"--workload {shape.workload} --precision {shape.precision} --input {shape.input}",
                sources=lambda wildcards, shape=shape: [
                    catalogue.sources_digest(framework, shape.workload)
                    for framework in shape.frameworks
                ],
            shell:
                # `exec`: the measuring process is Snakemake's own child and so dies with it.
                "exec python -P -m framebench.measure {params.fixed} {params.place}"
                " --round {wildcards.round} --members {params.members:q}"
                " --order {resources.order:q} --planned {resources.planned:q}"
                " --data {input.data:q} --story {input.story:q} --parent $PPID --logs {log:q} --outputs {output:q}"


rule tune:
    """The settings of track `tuned`, found by a search in which every trial is a run."""
    input:
        **MEASURING_INPUT,
        code=catalogue.code("framebench.measure.tune"),
    output:
        TUNING,
    log:
        f"{RESULTS}/logs/tuning/{{device}}-{{workload}}-{{framework}}-{{precision}}-{{input}}.log",
    # Before any run and, like a run, with nothing beside it.
    priority: 10**5
    threads: workflow.cores
    resources:
        **slurm_resources(
            runs=max(catalogue.adapter(one).most_trials for one in CONFIG.frameworks)
        ),
        measuring=1,
        # Not `params`: the position among the searches is no reason to search again.
        stage=lambda wildcards: stage("tuning", TUNING.format(**wildcards), SEARCHES),
    params:
        **MEASURING_PARAMS,
        request=lambda wildcards: search_options(wildcards),
        options=lambda wildcards: json.dumps(
            catalogue.adapter(wildcards.framework).options_of(
                kind="cuda" if wildcards.device in CONFIG.on_gpus else "cpu",
                trains=workloads.load(wildcards.workload).trains,
            )
        ),
    shell:
        "echo {resources.stage:q} {wildcards.workload} in {wildcards.framework} >&2;"
        " exec python -P -m framebench.measure.tune {params.request}"
        " --options {params.options:q}"
        " --data {input.data:q} --parent $PPID --log {log:q} --output {output:q}"


if CONFIG.largest_batch:
    # The limit of a trial on the CPU, like the GPU's own memory there.
    HOST_MEMORY = f"--host-memory-mib {CONFIG.largest_batch.host_memory_mib}"

    rule search_largest_batch:
        """The largest batch that trains, found by a search in which every trial is a fresh process, like a run."""
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
            # Parts of the protocol without effect on a search are no reason to search again.
            request=lambda wildcards: search_options(
                wildcards, few_steps(CONFIG.protocol)
            ),
            host_memory=lambda wildcards: "" if place_of(wildcards) else HOST_MEMORY,
            start=f"--start {CONFIG.largest_batch.start}",
            at_most=f"--at-most {CONFIG.largest_batch.at_most}",
        shell:
            "exec python -P -m framebench.measure.largest {params.request}"
            " {params.host_memory} {params.start} {params.at_most}"
            " --data {input.data:q} --parent $PPID --log {log:q} --output {output:q}"
