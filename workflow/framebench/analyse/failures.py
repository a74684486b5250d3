"""Failures of a campaign: reported at its end, and set aside so that the next one measures them again."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from framebench import record
from framebench.analyse import largest_batch
from framebench.analyse.table import TableError, read_csv, read_record, read_table
from framebench.record import RUN

# Out of memory is a result: another attempt would only repeat it.
RETRIED = ("failed", "timeout", "invalid")
FAILED = "failed"  # folder of attempts that were set aside, beside their records


def failures(table: pd.DataFrame, key: Sequence[str]) -> list[str]:
    """One line per run, or search, that the next campaign must repeat: its `key` and the reason."""
    failed = table[table["status"].isin(RETRIED)]
    return [
        f"{' · '.join(str(row[column]) for column in key)}: {row['status']}: {row['reason']}"
        for row in failed.to_dict("records")
    ]


def set_aside(records: Iterable[Path], searches: Iterable[Path] = ()) -> list[Path]:
    """Move the records of one job's runs if any failed, and those of failed searches; return their new places.

    They go into a folder `failed` beside them. Their places are free for the next attempt, and the evidence of this one
    is kept; samples of a GPU move likewise.
    """
    runs = [(read_record(path), [path, record.samples_path(path)]) for path in records if path.exists()]
    made = runs if any(run["status"] in RETRIED for run, _ in runs) else []
    found = [(largest_batch.read_search(path), [path]) for path in searches if path.exists()]
    asked = [*made, *(one for one in found if one[0]["status"] in RETRIED)]
    return [moved for run, files in asked for moved in keep(run, files, FAILED)]


def keep(run: dict, files: Iterable[Path], folder: str) -> list[Path]:
    """Move a run's existing files into a folder beside them, named by its start; return their new places."""
    moved = []
    for file in filter(Path.exists, files):
        kept = file.parent / folder / f"{file.stem}-{run['started_unix_s']:.0f}{file.suffix}"
        kept.parent.mkdir(exist_ok=True)
        moved.append(file.replace(kept))
    return moved


def attempts(path: Path) -> list[Path]:
    """The attempts at a run that were set aside, the latest last; `path` is the place of its record."""
    return sorted((path.parent / FAILED).glob(f"{path.stem}-*{path.suffix}"))


def main(arguments: Sequence[str] | None = None) -> None:
    """End the process with a line on stderr for every failure, if there is any."""
    parser = argparse.ArgumentParser(prog="python -m framebench failures", description=__doc__)
    of_what = parser.add_mutually_exclusive_group(required=True)
    of_what.add_argument("--measurements", type=Path, metavar="measurements.csv")
    of_what.add_argument("--largest-batch", type=Path, metavar="largest_batch.csv")
    of_what.add_argument("--left-out", type=Path, metavar="left_out.csv", help="of a merge")
    options = parser.parse_args(arguments)
    try:
        if options.left_out:
            rows = read_csv(options.left_out, dtype=str, keep_default_na=False)
            if lines := [": ".join(filter(None, row)) for row in rows.itertuples(index=False)]:
                sys.exit("\n".join([f"{len(lines)} files or parts were left out of the merge:", *lines]))
            return
        if options.measurements:
            table, key, what = read_table(options.measurements), RUN, "runs"
        else:
            table = read_csv(options.largest_batch, largest_batch.COLUMNS)
            key, what = largest_batch.SEARCH, "searches for the largest batch"
        if lines := failures(table, key):
            sys.exit("\n".join([f"{len(lines)} of {len(table)} {what} failed:", *lines]))
    except TableError as error:
        sys.exit(str(error))
