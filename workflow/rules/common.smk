# What the rules call.
from pathlib import Path

from framebench import catalogue, languages
from framebench.analyse import failures


def certificate_id(wildcards):
    return catalogue.certificate_id(
        wildcards.framework, wildcards.workload, DIGESTS[wildcards.framework]
    )


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
    failures.set_aside(Path(path) for path in rules.measurements.input.records)


def print_answer():
    """End on what the reader came for."""
    verdict = Path(RESULTS, f"verdict.{CONFIG.languages[0]}.txt")
    if verdict.exists():
        print(
            f"\n{verdict.read_text()}\nTables: {RESULTS}/*.csv   Figures: {RESULTS}/figures/",
            file=sys.stderr,
        )
