"""What failed: said at the end of a campaign, and set aside so that the next one measures it again."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from framebench import record
from framebench.analyse.table import RUN, read_record, read_table

# Running out of memory is a result: another attempt would only find it again.
RETRIED = ("failed", "timeout", "invalid")


def failures(measurements: pd.DataFrame) -> list[str]:
    """One line per run that the next campaign must measure again: which, and why."""
    failed = measurements[measurements["status"].isin(RETRIED)]
    return [
        f"{' · '.join(str(run[column]) for column in RUN)}: {run['status']}: {run['reason']}"
        for run in failed.to_dict("records")
    ]


def set_aside(records: Iterable[Path], together: bool = False) -> list[Path]:
    """Move every record of a failed run into a folder `failed` beside it; returns where they now are.

    Its place is free for the next attempt, and what was seen of this one is kept; samples of a GPU move likewise.
    Runs that are measured `together` are moved together too, all of them where any failed.
    """
    moved = []
    there = {path: read_record(path) for path in records if path.exists()}
    failed = {path for path, run in there.items() if run["status"] in RETRIED}
    for path, run in there.items():
        if path in failed or (together and failed):
            samples = record.samples_path(path)
            for file in filter(Path.exists, (path, samples)):
                kept = file.parent / "failed" / f"{file.stem}-{run['started_unix_s']:.0f}{file.suffix}"
                kept.parent.mkdir(exist_ok=True)
                moved.append(file.replace(kept))
    return moved


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.analyse.failures", description=__doc__)
    parser.add_argument("--measurements", required=True, type=Path, metavar="measurements.csv")
    measurements = read_table(parser.parse_args().measurements)
    if lines := failures(measurements):
        sys.exit("\n".join([f"{len(lines)} of {len(measurements)} runs failed:", *lines]))


if __name__ == "__main__":
    main()
