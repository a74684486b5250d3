"""The files that an invocation with failed jobs has left unmade, so that the rest is drawn as it is.

A second invocation, with the rules of DRAWING alone, gets the list of unmade files. To it, a run that was not measured
has a record that says so, in a folder of its own; the run's own place stays free for the next measurement. Snakemake
keeps what these tables were made of, and so makes them again once there is more.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from framebench import files, record

VARIABLE = "FRAMEBENCH_UNMADE"  # environment variable with the path of the list
IMPORTED = "imported.json"  # file of a results folder from another machine, where nothing is measured
LISTING = ".so-far/unmade.json"
DRAWING = ("plan", "table", "figure", "verdict", "page", "aa_report")  # rules
REASON = "its job failed or did not start"
NAMED = 3  # runs that the line on missing ones names


@dataclass(frozen=True)
class SoFar:
    """The files that are missing, from their `listing`, a JSON file in a folder of the results; none without one."""

    listing: Path | None = None
    unmade: frozenset[str] = frozenset()

    @classmethod
    def of(cls, results: str) -> "SoFar":
        """From the list that this process was given, or that of imported results."""
        return cls.read(os.environ.get(VARIABLE) or (f"{results}/{LISTING}" if is_imported(results) else None))

    @classmethod
    def read(cls, listing: str | None) -> "SoFar":
        """From the list in this file."""
        if listing is None:
            return cls()
        return cls(Path(listing), frozenset(json.loads(Path(listing).read_text(encoding="utf-8"))))

    def made(self, paths: Iterable[str]) -> list[str]:
        """The paths among these that are not missing."""
        return [path for path in paths if path not in self.unmade]

    def record(self, path: str) -> str:
        """The record of a run: the one at its own path, or the one that says that it was not measured."""
        return str(_instead(self.listing, path)) if self.listing and path in self.unmade else path


def is_imported(results: str) -> bool:
    """True for a results folder from another machine, where nothing is measured."""
    return os.path.lexists(f"{results}/{IMPORTED}")  # Path.exists fails for a path that is too long


def leave(
    results: str, unmade: Iterable[str], records: Mapping[str, Mapping[str, object]], reason: str = REASON
) -> SoFar:
    """Write the list, and a record for each of these missing runs, given by its path and fields; return both.

    Files that an earlier invocation left are deleted.
    """
    listing = Path(results, LISTING)
    shutil.rmtree(listing.parent, ignore_errors=True)
    listing.parent.mkdir(parents=True)
    with files.whole(listing, encoding="utf-8") as file:
        json.dump(sorted(unmade), file, indent=0)
    for path, fields in records.items():
        stands = _instead(listing, path)
        stands.parent.mkdir(parents=True, exist_ok=True)
        record.write(stands, record.record(**fields, status=record.NOT_MEASURED, reason=reason))
    return SoFar.read(str(listing))


def missing(planned: Iterable[str], unmade: Iterable[str]) -> str:
    """A line on the planned records that there are, and the first missing ones by name; empty where none is missing."""
    planned, left = list(planned), set(unmade)
    absent = [path for path in planned if path in left or not Path(path).exists()]
    if not absent:
        return ""
    named = "; ".join(path.partition("runs/")[2].removesuffix(".json").replace("/", " · ") for path in absent[:NAMED])
    more = f"; and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
    there = f"{len(planned) - len(absent)} of {len(planned)} runs are there"
    return f"{there}. Missing: {named}{more}."


def _instead(listing: Path, path: str) -> Path:
    return listing.parent / os.path.relpath(path, listing.parent.parent)
