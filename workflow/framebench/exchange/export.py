"""Packs the evidence of a campaign into one archive: `python -m framebench export --help`."""

import argparse
import hashlib
import sys
from pathlib import Path

from framebench import __version__, files
from framebench.analyse import machines
from framebench.analyse.table import TableError, read_record
from framebench.exchange import sealed
from framebench.exchange.results import evidence, is_run
from framebench.record import SCHEMA


def exported(results: Path) -> bytes:
    """The bytes of an archive of a results folder's evidence, of a whole campaign or of a part of one.

    The manifest names the machine, the commits that measured, the version of framebench that exported, and the digest
    of the records' schema. Raises TableError for a record that cannot be used and for a folder without records;
    ValueError as `archive.packed` does; OSError.
    """
    kept = evidence(results)
    records = [read_record(results / name) for name in kept if is_run(name)]
    if not records:
        raise TableError(f"{results}: holds no records, so there is nothing to export")
    about = {
        # The version that measured is that of `git_commits`.
        "framebench_version": __version__,
        "machine": machines.told(records),
        "git_commits": sorted({record["git_commit"] for record in records if record.get("git_commit")}),
        "record_schema_sha256": hashlib.sha256(SCHEMA.read_bytes()).hexdigest(),
    }
    return sealed.packed(kept, about)


def main(arguments: list[str] | None = None) -> None:
    """Write the archive; ends the process with one line on stderr where that fails."""
    parser = argparse.ArgumentParser(prog="python -m framebench export", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--results", required=True, type=Path, metavar="DIR", help="what a campaign left")
    parser.add_argument("--output", required=True, type=Path, metavar="ZIP")
    options = parser.parse_args(arguments)
    try:
        content = exported(options.results)
        with files.whole(options.output, "wb") as file:
            file.write(content)
    except (TableError, ValueError, OSError) as error:
        sys.exit(str(error))
