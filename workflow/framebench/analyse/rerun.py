"""Sets runs aside so that the next campaign measures them again: those of a block, or all that met a busy machine."""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import yaml

from framebench.analyse import failures
from framebench.analyse.table import TableError, read_record
from framebench.plan.matrix import RECORD
from framebench.record import BLOCK, BUSY, samples_path

# The tracks of a block are measured together too.
TOGETHER = [key for key in BLOCK if key != "track"]


def name(block: dict) -> str:
    """A block and those measured with it, in the form of the command line: cpu/article-cnn/float32/device/128."""
    return "/".join(str(block[key]) for key in TOGETHER)


def set_aside(results: Path, block: str | None = None) -> int:
    """Set the records of a block aside; without a block, those of every round in which a run met a busy machine.

    They move into a folder `again` beside them, by whole rounds: a run measured later on its own would meet other
    conditions than the runs that it is compared with. Returns the number of runs moved.
    """
    rounds = defaultdict(list)
    # Records set aside before are a folder deeper.
    for path in sorted(results.glob(RECORD.format_map(defaultdict(lambda: "*")))):
        run = read_record(path)
        rounds[name(run), run["round"]].append((path, run))
    met = [
        some
        for (of_block, _), some in rounds.items()
        if (block == of_block if block else any(BUSY in run["flags"] for _, run in some))
    ]
    for some in met:
        for path, run in some:
            failures.keep(run, [path, samples_path(path)], "again")
    return sum(map(len, met))


def main(arguments: Sequence[str] | None = None) -> None:
    """Set runs aside and print how many; on failure print one line."""
    parser = argparse.ArgumentParser(prog="python -m framebench rerun", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="CONFIG", help="config.yaml, and files that override it")
    parser.add_argument("--block", metavar="/".join(TOGETHER).upper(), help="default: rounds that met a busy machine")
    options = parser.parse_args(arguments)
    try:
        given = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in options.files]
        results = Path([one["results"] for one in given if one.get("results")][-1])
        runs = set_aside(results, options.block)
    except (OSError, TableError, yaml.YAMLError) as error:
        raise SystemExit(f"error: {error}") from error
    if options.block and not runs:
        raise SystemExit(f"error: {results}: no run of {options.block} was measured")
    what = options.block or "rounds that met a busy machine"
    print(f"{runs} runs of {what} are measured again ({results})")
