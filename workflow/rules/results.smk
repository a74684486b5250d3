# Inputs of the rules for tables, figures and pages, for any folder of results: the campaign's, the self-comparison's,
# or a merge's.
from pathlib import Path

from framebench import languages
from framebench.analyse import given
from framebench.analyse.table import read_records
from framebench.analyse.tables import of_campaign, tables
from framebench.answer import command as answering
from framebench.figures import registry

# Known from the start; rules for the rounds may ask for more.
RECORDS = [
    SO_FAR.record(matrix.record_path(RESULTS, run)) for run in matrix.runs(CONFIG)
]


def records_of(folder):
    """The records in a folder's plan, unnamed: Snakemake hashes all files of a name once for each file."""
    if folder == MERGED:
        return [rules.merged_records.output.runs]
    if folder == AA.results:
        return [
            SO_FAR.record(matrix.record_path(folder, run)) for run in matrix.runs(AA)
        ]
    if not ROUNDS:
        return RECORDS
    asked = matrix.asked_rounds(Path(checkpoints.rounds_needed.get().output[0]))
    records = [
        SO_FAR.record(matrix.record_path(folder, run))
        for run in matrix.runs(CONFIG, asked)
    ]
    # Those known first come first: Snakemake compares the files in this order.
    return list(dict.fromkeys([*RECORDS, *records]))


def certificates_of(folder):
    """The certificates that count for the runs of a folder."""
    if folder == MERGED:
        merged = Path(checkpoints.merged_records.get().output.certificates)
        return sorted(merged.glob("*/*.json"))
    return SO_FAR.made(
        expand(
            rules.certificate.output.certificate,
            workload=CERTIFIED if folder == RESULTS else AA.aa.workload,
            framework=CONFIG.frameworks,
        )
    )


def files_of(need, folder):
    """The files behind the inputs of a table, a figure or the answer."""
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


def files_of_table(wildcards):
    """The input files of a table, by their names."""
    needs = tables()[wildcards.table].needs
    return {need: files_of(need, wildcards.folder) for need in needs}


def records_behind(wildcards):
    """The records for measurements.csv; for another table made from records, measurements.csv, so that all use the
    same."""
    if "records" not in tables()[wildcards.table].needs:
        return []
    if wildcards.table == "measurements":
        return records_of(wildcards.folder)
    return [f"{wildcards.folder}/measurements.csv"]


def options_of(needs, input, settings=()):
    """The words of a command line that name these inputs and settings."""
    values = {name: input.get(name) for name in needs} | {
        name: getattr(CONFIG, name) for name in settings
    }
    return given.words(values)


def tables_of(folder):
    """Every table of a folder."""
    names = of_campaign(
        merged=folder == MERGED, searched=folder == RESULTS and LARGEST_BATCH
    )
    return [f"{folder}/{name}.csv" for name in names]


def texts(wildcards):
    """The texts of a language, and those of the reference."""
    return sorted(
        f"workflow/framebench/languages/{name}.yaml"
        for name in {wildcards.language, languages.REFERENCE}
    )


def scope_of(folder):
    """Everything that can be drawn in a folder."""
    if folder == MERGED:
        plan = checkpoints.merged_records.get().output.plan
        return registry.scope_of(read_records(Path(plan)))
    return registry.Scope(
        matrix.cells(CONFIG), CONFIG.on_gpus, CONFIG.on_gpus, bool(LARGEST_BATCH)
    )


def pictures(
    folder, figures, languages=CONFIG.languages, formats=("svg", "png", "txt")
):
    """The files of figures by their names."""
    return expand(
        f"{folder}/figures/{{language}}/{{figure}}.{{format}}",
        language=languages,
        figure=figures,
        format=formats,
    )


def files_of_figure(wildcards):
    """The tables that a figure needs, by their names; for a timeline, the record of its run."""
    figure, fields = registry.find(wildcards.figure)
    return {
        need: (
            SO_FAR.record(
                matrix.record_path(
                    RESULTS, matrix.timeline_run(CONFIG, fields["device"])
                )
            )
            if need == "record"
            else files_of(need, wildcards.folder)
        )
        for need in figure.needs
    }


def needs_of_verdict(folder):
    """The tables behind the sentences of a folder."""
    return [*answering.NEEDS, *(["agreement"] if folder == MERGED else [])]


def files_of_verdict(wildcards):
    """The tables that the sentences need, by their names."""
    needs = needs_of_verdict(wildcards.folder)
    return {need: files_of(need, wildcards.folder) for need in needs}


def answer_of(folder):
    """The page and the sentences of a folder in every language."""
    return expand(
        [f"{folder}/report.{{language}}.html", f"{folder}/verdict.{{language}}.txt"],
        language=CONFIG.languages,
    )
