"""From a configuration to what is measured: the cells, their runs, the order of the runs and their files."""

import argparse
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from framebench.config import Config, load

# Where the record of a run stands in the results folder: for `format`, and for Snakemake as wildcards.
RECORD = "runs/{device}/{workload}/{framework}/{track}/{precision}/{input}/batch-{batch_size}/round-{round}.json"


@dataclass(frozen=True)
class Cell:
    """What is measured; the cells that differ only in framework are compared."""

    device: str
    workload: str
    framework: str
    track: str
    precision: str
    input: str
    batch_size: int


@dataclass(frozen=True)
class Run:
    """One fresh process that measures one cell in one round, counted from 1."""

    cell: Cell
    round: int


def cells(config: Config) -> list[Cell]:
    """Every cell once, in the order of the configuration."""
    return list(_rounds(config))


@cache
def _rounds(config: Config) -> dict[Cell, int]:
    return {
        Cell(device, entry.workload, framework, track, precision, input, batch_size): entry.rounds
        for entry in config.matrix
        for device, framework, track, precision, input, batch_size in product(
            config.devices,
            config.frameworks,
            entry.tracks,
            entry.precisions,
            entry.inputs,
            entry.batch_sizes,
        )
    }


@cache
def _campaign(config: Config) -> tuple[Run, ...]:
    rounds = _rounds(config)
    campaign = []
    for round in range(1, max(rounds.values()) + 1):
        for device in config.devices:
            draw = random.Random(f"{config.protocol.seed} {device} {round}")
            drawn = [
                # `random()` gives the same numbers in every Python; `shuffle` does not promise that.
                (draw.random(), Run(cell, round))
                for cell, count in rounds.items()
                if cell.device == device and round <= count
            ]
            campaign += [run for _, run in sorted(drawn, key=lambda pair: pair[0])]
    return tuple(campaign)


def runs(config: Config) -> list[Run]:
    """Every run once, in the order of the campaign.

    Round follows round, and inside a round the cells of a device stand in an order drawn from the seed, the
    device and the round. A cell with fewer rounds is missing from the later ones.
    """
    return list(_campaign(config))


def order(config: Config) -> dict[Run, int]:
    """Each run's place in the campaign, from 1.

    A place depends on all cells: another framework in the configuration moves the runs that are there
    already. It is therefore no reason to measure a run again; a record keeps the place it was measured at.
    """
    return {run: place for place, run in enumerate(_campaign(config), start=1)}


def record_path(results: str, run: Run) -> str:
    """The file of a run's record under the folder `results`."""
    return f"{results}/{RECORD.format(**vars(run.cell), round=run.round)}"


def run_of(wildcards: Mapping[str, str]) -> Run:
    """The run whose record's path has these wildcards; KeyError for one that is missing."""
    cell = Cell(
        device=wildcards["device"],
        workload=wildcards["workload"],
        framework=wildcards["framework"],
        track=wildcards["track"],
        precision=wildcards["precision"],
        input=wildcards["input"],
        batch_size=int(wildcards["batch_size"]),
    )
    return Run(cell, int(wildcards["round"]))


def main() -> None:
    """Write the plan of a campaign: the paths of its records, one a line, in the order of measuring."""
    parser = argparse.ArgumentParser(prog="python -m framebench.matrix", description=main.__doc__)
    parser.add_argument("--config", required=True, type=json.loads, help="the configuration as JSON")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()
    config = load(arguments.config, "--config")
    paths = [record_path(config.results, run) for run in runs(config)]
    arguments.output.write_text("".join(f"{path}\n" for path in paths))


if __name__ == "__main__":
    main()
