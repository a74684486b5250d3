"""Copies what a reader of a campaign needs into a result set of results/published: `make publish`."""

import argparse
import shutil
import sys
from pathlib import Path

from framebench import files
from framebench.analyse.table import TableError, flagged, read_table
from framebench.record import STAND_IN

PUBLISHED = Path("results/published")
ARCHIVE = "framebench-results.zip"
MEASUREMENTS = "measurements.csv"
# Everything in a set follows from the records in its archive.
KEPT = (ARCHIVE, "*.csv", "report.*.html", "verdict.*.txt", "figures/*/*")


def publish(results: Path, name: str) -> Path:
    """Copy the archive, tables, figures, verdicts and pages of a results folder; returns the folder of the set.

    Raises ValueError where an archive, page or table is missing, where there is a set of this name or the name is none,
    and where a run used the tests' stand-in for a GPU; TableError where the table cannot be read; OSError.
    """
    target = files.folder_in(PUBLISHED, name)
    made = "snakemake --cores all"
    for pattern, remedy in ((ARCHIVE, "snakemake export"), ("report.*.html", made), (MEASUREMENTS, made)):
        if not any(results.glob(pattern)):
            raise ValueError(f"{results}: has no {pattern}, which `{remedy}` makes")
    if flagged(read_table(results / MEASUREMENTS), STAND_IN).any():
        raise ValueError(f"{results}: has runs on a stand-in for a GPU, which say nothing about any GPU")
    if target.exists():
        raise ValueError(f"{target}: is there already; delete it, or name another set: AS=NAME")
    for file in sorted(file for pattern in KEPT for file in results.glob(pattern)):
        place = target / file.relative_to(results)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    return target


def main(arguments: list[str] | None = None) -> None:
    """Copy the set and print its folder; ends with one line on stderr where that fails."""
    parser = argparse.ArgumentParser(prog="make publish", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("results", type=Path, metavar="DIR", help="results folder, measured here or imported")
    parser.add_argument("--name", help="of the set; by default that of the folder")
    options = parser.parse_args(arguments)
    try:
        print(publish(options.results, options.name or options.results.name))
    except (ValueError, TableError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
