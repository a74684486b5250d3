"""What of a results folder is evidence: records, certificates, and how many rounds came first where a rule set them."""

from pathlib import Path, PurePosixPath

ROUNDS = "rounds.json"


def evidence(results: Path) -> dict[str, bytes]:
    """The files of a results folder from which everything else can be made anew, by their names from there.

    Neither runs that were set aside nor samples. Raises OSError where one cannot be read.
    """
    paths = [*results.glob("runs/**/*.json"), *results.glob("certificates/*/*.json"), *results.glob(ROUNDS)]
    names = sorted(path.relative_to(results).as_posix() for path in paths)
    return {
        name: (results / name).read_bytes() for name in names if is_run(name) or is_certificate(name) or name == ROUNDS
    }


def is_run(name: str) -> bool:
    """Whether a file is in the place of a record."""
    return name.startswith("runs/") and PurePosixPath(name).parent.name != "failed"


def is_certificate(name: str) -> bool:
    """Whether a file is in the place of a certificate, and not of what one is made from."""
    return name.startswith("certificates/") and not name.endswith("/learned.json")
