# What the rules call.
from pathlib import Path

from framebench import catalogue, languages, matrix, sides
from framebench.analyse import failures


def certificate_id(wildcards):
    return catalogue.certificate_id(
        wildcards.framework,
        wildcards.workload,
        environment_of(wildcards).digest,
    )


def environment_of(wildcards):
    """Where a framework, or the one behind a name, is found."""
    return ENVIRONMENTS[sides.base(wildcards.framework)]


def environment_options(wildcards):
    """What a measuring command is told of the environment that it must find itself in."""
    environment = environment_of(wildcards)
    site = " --site" if environment.packages else ""
    return (
        f"--environment {environment.prefix} --lock-digest {environment.digest}{site}"
    )


def uuid_of(wildcards):
    """The GPU that a device is; nothing for the CPU."""
    gpu = DEVICES[wildcards.device]
    return f"--uuid {gpu.uuid}" if gpu else ""


def tuning_of(wildcards):
    """The settings found for a cell of track `tuned`; nothing for one of track `default`."""
    return expand(TUNING, **wildcards) if wildcards.track == "tuned" else []


def place(wildcards):
    """Where a run stands in its campaign."""
    return PLACES[wildcards.campaign][matrix.run_of(wildcards)]


def asked_records(wildcards):
    """The records that the rules ask for beyond RECORDS."""
    if not ROUNDS:
        return []
    asked = matrix.asked_rounds(Path(checkpoints.precision.get().output[0]))
    known = set(matrix.runs(CONFIG))
    return [
        matrix.record_path(RESULTS, run)
        for run in matrix.runs(CONFIG, asked)
        if run not in known
    ]


def texts(wildcards):
    """The words of a language, and those that say which it must have."""
    return sorted(
        f"workflow/framebench/languages/{name}.yaml"
        for name in {wildcards.language, languages.REFERENCE}
    )


def every_language(figures):
    return expand(
        f"{FIGURE}.{{format}}",
        language=CONFIG.languages,
        figure=figures,
        format=FORMATS,
    )


def set_aside_failures():
    """Free the places of failed runs, so that the next invocation measures them again and nothing else."""
    failures.set_aside(
        (
            Path(matrix.record_path(campaign.results, run))
            for campaign in CAMPAIGNS.values()
            for run in matrix.campaign(campaign)
        ),
        map(Path, matrix.largest_batch_paths(CONFIG)),
    )


def print_answer():
    """End on what the reader came for."""
    verdict = Path(RESULTS, f"verdict.{CONFIG.languages[0]}.txt")
    if verdict.exists():
        print(
            f"\n{verdict.read_text()}\nTables: {RESULTS}/*.csv   Figures: {RESULTS}/figures/",
            file=sys.stderr,
        )
