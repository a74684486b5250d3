"""The evidence in a results folder: records, samples, certificates, searches, and what was measured with."""

from pathlib import Path, PurePosixPath

from framebench.analyse.failures import FAILED
from framebench.plan.bindings import RECORD as DEVICES

ROUNDS = "rounds.json"
CONFIG = "config.json"
PATTERNS = (
    *("runs/**/*.json", "samples/**/*.npz", "certificates/*/*.json", "tuning/**/*.json", "largest-batch/**/*.json"),
    *("idle/*.json", "environments/*.txt", ROUNDS, CONFIG, DEVICES),
)


def evidence(results: Path) -> dict[str, bytes]:
    """The evidence in a results folder: file contents by path within the folder.

    Tables, figures, verdicts and pages can be made again from these files. Searches belong to it because every trial in
    them was measured, and failed attempts because no other record may say why a run is missing. Left out are the pages
    of certificates (*.md), which follow from the JSON beside them. Raises OSError for a file that cannot be read.
    """
    names = sorted(path.relative_to(results).as_posix() for pattern in PATTERNS for path in results.glob(pattern))
    return {name: (results / name).read_bytes() for name in names if not name.endswith("/learned.json")}


def is_run(name: str) -> bool:
    """True for a file in the place of a record."""
    return name.startswith("runs/") and PurePosixPath(name).parent.name != FAILED


def is_certificate(name: str) -> bool:
    """True for a file in the place of a certificate; files that a certificate is made from are elsewhere."""
    return name.startswith("certificates/") and not name.endswith("/learned.json")


def is_tuning(name: str) -> bool:
    """True for a file in the place of a search for tuned settings."""
    return name.startswith("tuning/")
