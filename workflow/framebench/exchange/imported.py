"""Turns an archive of another machine's campaign into a results folder that is drawn and never measured: `make import`.

The folder has the files of the archive, each as it was, and the configuration of the campaign. A planned run that the
archive lacks is shown as not measured, or as failed where the archive has a failed attempt at it.
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from framebench import files
from framebench.analyse import failures, machines
from framebench.analyse.table import parsed
from framebench.exchange import sealed
from framebench.exchange.merge import certificate_path
from framebench.exchange.results import CONFIG, ROUNDS, is_run
from framebench.exchange.sealed import ArchiveError
from framebench.plan import matrix, so_far
from framebench.plan.config import Config, ConfigError, load, readable

FOLDER = Path("results/imported")
NAMELESS = "framebench-results"  # the name that `snakemake export` gives to every archive
REASON = "the archive has no record of it"


def folder_of(archive: Path, inside: Mapping[str, bytes], name: str | None) -> Path:
    """The results folder for an archive: by the given name, or the archive's, or that of its machine."""
    if name or archive.stem != NAMELESS:
        return files.folder_in(FOLDER, name or archive.stem)
    return FOLDER / machines.name(json.loads(content) for file, content in inside.items() if is_run(file))


def write(archive: Path, name: str | None) -> Path:
    """Write the results folder of an archive, and return the path of its configuration.

    An archive whose folder is there already is not written again. Raises ArchiveError, ConfigError, ValueError and
    OSError, each in one line.
    """
    inside, manifest = sealed.unpacked(archive)
    if CONFIG not in inside:
        raise ArchiveError(f"{archive}: has no {CONFIG}: export the results again")
    for run in filter(is_run, inside):
        try:
            parsed(inside[run])
        except ValueError as error:
            raise ArchiveError(f"{archive}: {run}: {error}") from error
    folder = folder_of(archive, inside, name)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if folder.exists():
        _refuse_other(folder, digest)
        # Written last: without it, an import was cut off.
        if (folder / so_far.LISTING).exists():
            return folder / CONFIG
    inside[CONFIG] = json.dumps(json.loads(inside[CONFIG]) | {"results": str(folder)}, indent=1).encode()
    try:
        # First, as it tells that nothing is measured here.
        with files.whole(folder / so_far.IMPORTED, encoding="utf-8") as marker:
            json.dump({"archive": archive.name, "sha256": digest, "about": manifest}, marker, indent=1)
        for place, content in inside.items():
            with files.whole(folder / place, "wb") as file:
                file.write(content)
        shutil.copyfile(archive, folder / f"{NAMELESS}.zip")
        _leave_missing(configuration(folder))
    except BaseException:
        shutil.rmtree(folder)
        raise
    return folder / CONFIG


def configuration(folder: Path) -> Config:
    """The configuration of an imported campaign: that of its archive, and this version's for keys that it lacks."""
    content = readable("config.yaml") | json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return load(content, str(folder / CONFIG))


def _refuse_other(folder: Path, digest: str) -> None:
    marker = folder / so_far.IMPORTED
    if not marker.exists() or json.loads(marker.read_text(encoding="utf-8"))["sha256"] != digest:
        raise ValueError(f"{folder}: has other results; delete it, or name another folder: AS=NAME")


def _leave_missing(config: Config) -> None:
    """List the files that the campaign planned and that are missing, with what is known of each missing run."""
    folder = Path(config.results)
    rounds = folder / ROUNDS
    ruled = [str(rounds)] if matrix.has_rule(config) else []
    asked = matrix.asked_rounds(rounds) if ruled and rounds.exists() else None
    runs = {matrix.record_path(config.results, run): run for run in matrix.runs(config, asked)}
    proofs = [f"{folder}/{certificate_path(vars(cell))}" for cell in matrix.cells(config)]
    wanted = [*runs, *ruled, *dict.fromkeys(proofs), *matrix.largest_batch_paths(config)]
    unmade = [path for path in wanted if not Path(path).exists()]
    missing = {path: matrix.fields(config, runs[path]) for path in unmade if path in runs}
    found = so_far.leave(config.results, unmade, missing, REASON)
    for path in missing:
        for attempt in failures.attempts(Path(path))[-1:]:
            shutil.copyfile(attempt, found.record(path))


def main(arguments: list[str] | None = None) -> None:
    """Write the folder and print the path of its configuration; ends with one line on stderr where that fails."""
    parser = argparse.ArgumentParser(prog="make import", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("archive", type=Path, metavar="ZIP", help="made by `snakemake export` on the other machine")
    parser.add_argument("--name", help=f"of the folder in {FOLDER}; by default that of the archive")
    options = parser.parse_args(arguments)
    try:
        config = write(options.archive, options.name)
    except (ArchiveError, ConfigError, ValueError, OSError) as error:
        sys.exit(str(error))
    print(config)


if __name__ == "__main__":
    main()
