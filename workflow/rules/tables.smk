# From the records of the runs to tables, of any folder of results: the campaign's, that of the frameworks against
# themselves, and what was merged. A table is one module of framebench/analyse.
import json
import re
from pathlib import Path

from framebench.analyse import given
from framebench.analyse.table import read_records
from framebench.analyse.tables import needs, of_campaign, tables

FOLDERS = "|".join(map(re.escape, [RESULTS, AA.results, MERGED]))
LARGEST_BATCH = matrix.largest_batch_paths(CONFIG)
# Known from the start, where rules for the rounds may ask for more.
RECORDS = [matrix.record_path(RESULTS, run) for run in matrix.runs(CONFIG)]


checkpoint rounds_needed:
    """How many rounds the rules ask for, once the first ones were measured."""
    input:
        [matrix.record_path(RESULTS, run) for run in matrix.first_runs(CONFIG)],
        code=catalogue.code("framebench.analyse.rounds_needed"),
    output:
        f"{RESULTS}/rounds.json",
    log:
        f"{RESULTS}/logs/rounds_needed.log",
    # As soon as it can be known, so that the order of the runs can be kept, and with nothing beside it.
    priority: 10**6
    threads: workflow.cores
    params:
        config=json.dumps(config),
    shell:
        "python -P -m framebench rounds --config {params.config:q} --output {output}"
        + SHOWN


# Nothing where no entry has a rule: the checkpoint is then not part of the workflow.
ROUNDS = rules.rounds_needed.output if matrix.has_rule(CONFIG) else []


rule plan:
    """The records of a campaign in the order in which they are measured."""
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
    shell:
        "python -P -m framebench plan --config {params.config:q} {params.options:q} --output {output}"
        + SHOWN


def records_of(folder):
    """The records that a folder's plan lists, by no name: Snakemake hashes the files of a name as a whole, for each."""
    if folder == MERGED:
        return [rules.merged_records.output.runs]
    if folder == AA.results:
        return [matrix.record_path(folder, run) for run in matrix.runs(AA)]
    if not ROUNDS:
        return RECORDS
    asked = matrix.asked_rounds(Path(checkpoints.rounds_needed.get().output[0]))
    return [
        *RECORDS,
        *(
            matrix.record_path(folder, run)
            for run in dict.fromkeys(matrix.runs(CONFIG, asked))
            if run not in set(matrix.runs(CONFIG))
        ),
    ]


def certificates_of(folder):
    """The certificates that count for the runs of a folder."""
    if folder == MERGED:
        merged = Path(checkpoints.merged_records.get().output.certificates)
        return sorted(merged.glob("*/*.json"))
    return expand(
        rules.certificate.output.certificate,
        workload=CERTIFIED if folder == RESULTS else AA.aa.workload,
        framework=CONFIG.frameworks,
    )


def files_of(need, folder):
    """The files behind what a table, a figure or a verdict needs."""
    if need == "records":
        return f"{folder}/plan.txt"
    if need == "rounds":
        return {RESULTS: ROUNDS, MERGED: [rules.merged_records.output.rounds]}.get(
            folder, []
        )
    if need == "certificates":
        return certificates_of(folder)
    if need == "searches":
        return LARGEST_BATCH
    return f"{folder}/{need}.csv" if need in tables() else given.resource(need)


def options_of(needs, input, settings=()):
    """The words of a command line that name these inputs and settings."""
    values = {name: input.get(name) for name in needs} | {
        name: getattr(CONFIG, name) for name in settings
    }
    return given.words(values)


rule table:
    input:
        lambda wildcards: (
            records_of(wildcards.folder)
            if wildcards.table == "measurements"
            # Of the records in the plan, they are made.
            else [f"{wildcards.folder}/measurements.csv"]
        ),
        unpack(
            lambda wildcards: {
                need: files_of(need, wildcards.folder)
                for need in tables()[wildcards.table].needs
            }
        ),
        code=lambda wildcards: catalogue.code(
            "framebench.analyse.command", tables()[wildcards.table].module
        ),
    output:
        report(
            "{folder}/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        "{folder}/logs/{table}.log",
    wildcard_constraints:
        folder=FOLDERS,
        table="|".join(tables()),
    params:
        options=lambda wildcards, input: options_of(
            tables()[wildcards.table].needs, input, tables()[wildcards.table].settings
        ),
    shell:
        "python -P -m framebench table {wildcards.table} {params.options:q} --output {output}"
        + SHOWN


def tables_of(folder):
    """Every table of a folder."""
    names = of_campaign(
        merged=folder == MERGED, searched=folder == RESULTS and LARGEST_BATCH
    )
    return [f"{folder}/{name}.csv" for name in names]


rule tables:
    """Every table of the campaign."""
    input:
        tables_of(RESULTS),


rule complete:
    """Fails where a run failed or was left out, after everything that could be measured and drawn was."""
    input:
        # Although in the table: one that was set aside must be missed.
        lambda wildcards: records_of(wildcards.folder),
        code=catalogue.code("framebench.analyse.failures"),
        table=lambda wildcards: (
            rules.merged_records.output.left_out
            if wildcards.folder == MERGED
            else f"{wildcards.folder}/measurements.csv"
        ),
    output:
        touch("{folder}/.complete"),
    log:
        "{folder}/logs/complete.log",
    wildcard_constraints:
        folder=FOLDERS,
    params:
        option=lambda wildcards: (
            "--left-out" if wildcards.folder == MERGED else "--measurements"
        ),
    shell:
        "python -P -m framebench failures {params.option} {input.table}" + SHOWN
