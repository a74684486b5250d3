# The runs of a campaign: those known from the start, and the rounds that a rule adds.
import json
import re

FOLDERS = "|".join(map(re.escape, [RESULTS, AA.results, MERGED]))
LARGEST_BATCH = SO_FAR.made(matrix.largest_batch_paths(CONFIG))


checkpoint rounds_needed:
    """The number of rounds by the rules, once the first ones are measured."""
    input:
        [matrix.record_path(RESULTS, run) for run in matrix.first_runs(CONFIG)],
        code=catalogue.code("framebench.analyse.rounds_needed"),
    output:
        f"{RESULTS}/rounds.json",
    log:
        f"{RESULTS}/logs/rounds_needed.log",
    # The earliest moment when it can be known, so that the order of the runs can be kept, and with nothing beside it.
    priority: 10**6
    threads: workflow.cores
    params:
        config=json.dumps(config),
        planned=PLANNED.format(campaign=""),
    shell:
        "python -P -m framebench rounds --config {params.config:q} --output {output:q} --planned {params.planned:q} 2>&1 | tee {log:q} >&2"


# Empty where no entry has a rule: the checkpoint is then not part of the workflow.
ROUNDS = SO_FAR.made(rules.rounds_needed.output) if matrix.has_rule(CONFIG) else []


rule plan:
    """The records of a campaign in the order of measuring."""
    input:
        code=catalogue.code("framebench.plan.matrix"),
        rounds=lambda wildcards: ROUNDS if wildcards.folder == RESULTS else [],
    output:
        "{folder}/plan.txt",
    log:
        "{folder}/logs/plan.log",
    wildcard_constraints:
        folder="|".join(map(re.escape, [RESULTS, AA.results])),
    params:
        config=json.dumps(config),
        options=lambda wildcards, input: (
            ["--aa"]
            if wildcards.folder == AA.results
            else ["--rounds", *ROUNDS] if ROUNDS else []
        ),
        # Apart from those that follow from the input, which Snakemake does not compare.
        unmade=["--unmade", str(SO_FAR.listing)] if SO_FAR.listing else [],
    shell:
        "python -P -m framebench plan --config {params.config:q} {params.options:q} {params.unmade:q} --output {output:q} 2>&1 | tee {log:q} >&2"
