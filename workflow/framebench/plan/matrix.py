"""From a configuration to its runs: the cells, their runs, the order of the runs and their files."""

import argparse
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import TypeVar

from framebench import files
from framebench.plan.config import Config, Rounds, against_itself, load
from framebench.plan.so_far import SoFar
from framebench.record import BLOCK, TYPES, Block, Cell

T = TypeVar("T")

# Path of a run's record in the results folder: for `format`, and for Snakemake as wildcards.
_FOLDERS = "/".join(f"{{{name}}}" for name in TYPES).replace("{batch_size}", "batch-{batch_size}")
RECORD = f"runs/{_FOLDERS}/round-{{round}}.json"
# Path of the result of a search for the largest batch.
LARGEST_BATCH = "largest-batch/{device}/{workload}/{framework}/{precision}.json"


@dataclass(frozen=True)
class Run:
    """One fresh process that measures one cell in one round, counted from 1."""

    cell: Cell
    round: int


@dataclass(frozen=True)
class Shape:
    """Blocks that differ in device and batch size alone, and the tracks in which each is measured.

    One job makes all runs of such a block in one round: each framework in each track.
    """

    workload: str
    precision: str
    input: str
    tracks: tuple[str, ...]
    frameworks: tuple[str, ...]
    batch_sizes: tuple[int, ...]

    def rule(self, campaign: str) -> str:
        """The name of the rule that makes its jobs in a campaign: letters, digits and _."""
        words = [f"measure_{campaign}{self.workload}", *self.tracks, self.precision, self.input]
        return re.sub(r"\W", "_", "_".join(words))

    def members(self) -> list[tuple[str, str]]:
        """Framework and track of each run of a job, in the order of `files`."""
        return list(product(self.frameworks, self.tracks))

    def files(self, pattern: str) -> list[str]:
        """The files of a job's runs by a pattern such as RECORD; its wildcards are device, batch size and round."""
        left = {name: f"{{{name}}}" for name in ("device", "batch_size", "round")}
        fixed = {name: getattr(self, name) for name in ("workload", "precision", "input")}
        return [
            pattern.format(**left, **fixed, framework=framework, track=track) for framework, track in self.members()
        ]

    def runs(self, device: str, batch_size: int, round: int) -> list[Run]:
        """The runs of one job, in the order of `files`."""
        fixed = {name: getattr(self, name) for name in ("workload", "precision", "input")}
        at = fixed | {"device": device, "batch_size": batch_size}
        return [Run(Cell(framework=framework, track=track, **at), round) for framework, track in self.members()]


def shapes(config: Config) -> list[Shape]:
    """The shapes of a campaign's blocks, in the order of the configuration.

    Tracks of a block with the same rule for its rounds are measured together.
    """
    tracks: dict[tuple[str, str, str, int, Rounds], list[str]] = {}
    for entry in config.matrix:
        for track, *block in product(entry.tracks, [entry.workload], entry.precisions, entry.inputs, entry.batch_sizes):
            tracks.setdefault((*block, entry.rounds), []).append(track)  # type: ignore[arg-type]
    sizes: dict[tuple[str, str, str, tuple[str, ...]], list[int]] = {}
    for (workload, precision, input, batch_size, _), of_block in tracks.items():
        sizes.setdefault((workload, precision, input, tuple(of_block)), []).append(batch_size)
    return [
        Shape(workload, precision, input, of_shape, config.frameworks, tuple(batch_sizes))
        for (workload, precision, input, of_shape), batch_sizes in sizes.items()
    ]


def cells(config: Config) -> list[Cell]:
    """Every cell once, in the order of the configuration."""
    return list(rounds(config))


@cache
def rounds(config: Config) -> dict[Cell, Rounds]:
    """Number of rounds of each cell, in the order of the configuration."""
    return {
        Cell(*values): entry.rounds
        for entry in config.matrix
        for values in product(
            config.devices,
            [entry.workload],
            config.frameworks,
            entry.tracks,
            entry.precisions,
            entry.inputs,
            entry.batch_sizes,
        )
    }


@cache
def campaign(config: Config) -> tuple[Run, ...]:
    """Every possible run, in order; a cell with a rule for its rounds has at_most.

    Rounds follow one another; inside a round the blocks of a device are in an order drawn from the seed, the device and
    the round; inside a block come the runs of one job. A cell with fewer rounds is missing from the later ones.

    With `order: blocks`, blocks follow one another as in the configuration, each with its first rounds, and then, in
    the same way, with the rounds that a rule may add.
    """
    rules = rounds(config)
    of_shapes = shapes(config)
    drawn_jobs = []
    for round in range(1, max(one.at_most for one in rules.values()) + 1):
        for device in config.devices:
            draw = random.Random(f"{config.protocol.seed} {device} {round}")
            jobs = [
                [run for run in shape.runs(device, batch_size, round) if round <= rules[run.cell].at_most]
                for shape in of_shapes
                for batch_size in shape.batch_sizes
            ]
            drawn_jobs += [_drawn(job, draw) for job in _drawn(jobs, draw) if job]
    if config.order == "blocks":
        places: dict[Block, int] = {}
        for cell in rules:
            places.setdefault(cell.block, len(places))
        drawn_jobs.sort(
            key=lambda job: (
                job[0].round > rules[job[0].cell].at_least,
                min(places[run.cell.block] for run in job),
            )
        )
    return tuple(run for job in drawn_jobs for run in job)


def _drawn(items: Iterable[T], draw: random.Random) -> list[T]:
    """The items in random order; `random()` gives the same numbers in every Python, `shuffle` may not."""
    return [item for _, item in sorted(((draw.random(), item) for item in items), key=lambda pair: pair[0])]


def runs(config: Config, asked: Mapping[Block, int] | None = None) -> list[Run]:
    """The planned runs, in the order of the campaign.

    A block with a rule for its rounds gets at_least of them, or its number in `asked`.
    """
    asked = asked or {}
    counts = {cell: asked.get(cell.block, one.at_least) for cell, one in rounds(config).items()}
    return [run for run in campaign(config) if run.round <= counts[run.cell]]


@cache
def order(config: Config) -> dict[Run, int]:
    """Each run's place in the campaign, from 1; rounds that no rule requests leave gaps.

    A place depends on all cells: another framework in the configuration moves the runs that are there already. It is
    therefore no reason to measure a run again; a record keeps the place that it had.
    """
    return {run: place for place, run in enumerate(campaign(config), start=1)}


def jobs(config: Config) -> list[list[Run]]:
    """All possible runs, by the job that makes them together."""
    return [
        shape.runs(device, batch_size, round)
        for shape in shapes(config)
        for device in config.devices
        for batch_size in shape.batch_sizes
        for round in range(1, rounds(config)[shape.runs(device, batch_size, 1)[0].cell].at_most + 1)
    ]


def largest_batch_paths(config: Config) -> list[str]:
    """The files of the searches for the largest batch, each once: on GPUs, and on the CPU where its memory is limited.

    One for every workload, framework and precision of the matrix, if they are asked for; the track is always `default`.
    """
    if not config.largest_batch:
        return []
    limited = {"cpu"} if config.largest_batch.host_memory_mib and not config.requests else set()
    searched = [cell for cell in cells(config) if cell.device in {*config.on_gpus, *limited}]
    return list(dict.fromkeys(f"{config.results}/{LARGEST_BATCH.format(**vars(cell))}" for cell in searched))


def has_rule(config: Config) -> bool:
    """True where the number of rounds of any cell follows from its first rounds."""
    return any(entry.rounds.has_rule for entry in config.matrix)


def first_runs(config: Config) -> list[Run]:
    """The runs from which further rounds are computed, those of the cells with a rule; in the order of the campaign."""
    rules = rounds(config)
    return [run for run in runs(config) if rules[run.cell].has_rule]


def asked_rounds(path: Path) -> dict[Block, int]:
    """The rounds requested by the rules, by block, from the file of `framebench.analyse.rounds_needed`."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {tuple(row[key] for key in BLOCK): row["rounds"] for row in rows}


def write_planned(config: Config, rounds: Path, file: Path) -> None:
    """Write the planned jobs, each by its first record, for the progress line.

    `rounds`, the file of the requested rounds, gives those of every block; where it is missing, a rule may add rounds
    of so many seconds. See `framebench.measure.progress`.
    """
    known = rounds.exists()
    may_add = any(entry.rounds.until for entry in config.matrix) and not known
    first = {job[0] for job in jobs(config)}
    of_plan = runs(config, asked_rounds(rounds) if known else None)
    planned = {
        "records": [record_path(config.results, run) for run in of_plan if run in first],
        "may_add_s": 60 * config.budget_min if may_add else 0,
    }
    with files.whole(file, encoding="utf-8") as text:
        json.dump(planned, text, indent=0)


def timeline_run(config: Config, device: str) -> Run:
    """The run for a GPU's timeline: the baseline's first, at the largest of its batch sizes."""
    of_device = [run for run in runs(config) if (run.cell.device, run.cell.framework) == (device, config.baseline)]
    return max(of_device, key=lambda run: (run.cell.batch_size, -run.round))


def fields(config: Config, run: Run) -> dict[str, object]:
    """The fields of a run's record that its plan gives."""
    return vars(run.cell) | {"round": run.round, "order": order(config)[run], "seed": config.protocol.seed}


def record_path(results: str, run: Run) -> str:
    """Path of a run's record under the folder `results`."""
    return f"{results}/{RECORD.format(**vars(run.cell), round=run.round)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the plan of a campaign: the paths of its records, one a line, in the order of measuring."""
    parser = argparse.ArgumentParser(prog="python -m framebench plan", description=main.__doc__)
    parser.add_argument("--config", required=True, type=json.loads, help="the configuration as JSON")
    parser.add_argument("--rounds", type=Path, metavar="rounds.json", help="rounds requested by the rules")
    parser.add_argument("--aa", action="store_true", help="the campaign of frameworks against themselves")
    parser.add_argument("--unmade", metavar="unmade.json", help="files that were not made, from `so_far`")
    parser.add_argument("--output", required=True, type=Path)
    options = parser.parse_args(arguments)
    config = load(options.config, "--config")
    if options.aa:
        config = against_itself(config)
    asked = asked_rounds(options.rounds) if options.rounds else {}
    found = SoFar.read(options.unmade)
    paths = [found.record(record_path(config.results, run)) for run in runs(config, asked)]
    options.output.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
