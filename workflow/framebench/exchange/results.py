"""The evidence in a results folder: records, certificates, searches for tuned settings, and rounds that a rule set."""

from pathlib import Path, PurePosixPath

ROUNDS = "rounds.json"


def evidence(results: Path) -> dict[str, bytes]:
    """The evidence in a results folder: file contents by path within the folder.

    Tables, figures, verdicts and pages can be made again from these files. Searches for tuned settings belong to it
    because every trial in them was measured, and so was the idle power of each GPU. Left out are failed runs that were
    set aside, the samples of GPUs, the searches for the largest batch, and the pages of certificates (*.md), which
    follow from the JSON beside them. Raises OSError for a file that cannot be read.
    """
    patterns = ("runs/**/*.json", "certificates/*/*.json", "tuning/**/*.json", "idle/*.json", ROUNDS)
    names = sorted(path.relative_to(results).as_posix() for pattern in patterns for path in results.glob(pattern))
    return {name: (results / name).read_bytes() for name in names if _is_evidence(name)}


def is_run(name: str) -> bool:
    """True for a file in the place of a record."""
    return name.startswith("runs/") and PurePosixPath(name).parent.name != "failed"


def is_certificate(name: str) -> bool:
    """True for a file in the place of a certificate; files that a certificate is made from are elsewhere."""
    return name.startswith("certificates/") and not name.endswith("/learned.json")


def is_tuning(name: str) -> bool:
    """True for a file in the place of a search for tuned settings."""
    return name.startswith("tuning/")


def _is_evidence(name: str) -> bool:
    return is_run(name) or is_certificate(name) or is_tuning(name) or name.startswith("idle/") or name == ROUNDS
