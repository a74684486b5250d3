"""Number of rounds that the rules of config.yaml ask for: `python -m framebench rounds --help`."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from itertools import combinations
from math import log
from pathlib import Path
from typing import TypeVar

import pandas as pd

from framebench import files
from framebench.analyse.statistics import geometric_mean_interval, rounds_needed
from framebench.analyse.table import TableError, read_record, table
from framebench.plan import matrix
from framebench.plan.config import Config, Rounds, load
from framebench.record import BLOCK, Block

Number = TypeVar("Number", float, pd.Series)


def asked(measurements: pd.DataFrame, rules: Mapping[Block, Rounds], confidence: float) -> list[dict]:
    """One row per block with a rule: BLOCK, the `rounds` that its neediest pair asks for, and that pair.

    `measurements` are those of the first `at_least` rounds, whatever became of them. `half_width` is that of the
    pair's interval so far, `ci_half_width` the one asked for. A pair with fewer than two rounds in which both are
    ok has no say; where no pair has one, at_least stands, since more rounds would make nothing comparable.
    """
    ok = measurements[measurements["status"] == "ok"]
    speeds = {
        block: runs.pivot(index="round", columns="framework", values="images_per_s")
        for block, runs in ok.groupby(BLOCK)
    }
    rows = []
    for block, rule in rules.items():
        needs = list(_needs(speeds[block], rule, confidence)) if block in speeds else []
        nobody = {"rounds": rule.at_least, "framework": None, "reference": None, "half_width": None}
        neediest = max(needs, key=lambda need: (need["rounds"], need["half_width"] or 0), default=nobody)
        of_rule = {"at_least": rule.at_least, "ci_half_width": rule.ci_half_width}
        rows.append(dict(zip(BLOCK, block, strict=True)) | neediest | of_rule)
    return rows


def _needs(speeds: pd.DataFrame, rule: Rounds, confidence: float) -> Iterator[dict]:
    """What each pair of frameworks asks for; `speeds`: a row per round, a column per framework."""
    assert rule.ci_half_width, "a number of rounds asks for nothing"
    for framework, reference in combinations(speeds.columns, 2):
        ratios = (speeds[framework] / speeds[reference]).dropna().tolist()
        if len(ratios) > 1:
            logs = [log(ratio) for ratio in ratios]
            rounds = rounds_needed(logs, confidence, rule.ci_half_width, rule.at_least, rule.at_most)
            interval = geometric_mean_interval(ratios, confidence)
            width = half_width(interval.low, interval.high) if interval.low and interval.high else None
            yield {"rounds": rounds, "framework": framework, "reference": reference, "half_width": width}


def half_width(low: Number, high: Number) -> Number:
    """Half the width of a ratio's interval as a share of the ratio, on the log scale: 0.02 for 0.98 to 1.02."""
    return (high / low) ** 0.5 - 1


def rules(config: Config) -> dict[Block, Rounds]:
    """The rule of each block that has one."""
    return {cell.block: one for cell, one in matrix.rounds(config).items() if one.ci_half_width is not None}


def main(arguments: list[str] | None = None) -> None:
    """Read the records of the first rounds, write what is asked for, and say it in one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m framebench rounds", description=__doc__)
    parser.add_argument("--config", required=True, type=json.loads, help="the configuration as JSON")
    parser.add_argument("--output", required=True, type=Path, metavar="rounds.json")
    options = parser.parse_args(arguments)
    config = load(options.config, "--config")
    try:
        paths = [Path(matrix.record_path(config.results, run)) for run in matrix.first_runs(config)]
        rows = asked(table([read_record(path) for path in paths]), rules(config), config.confidence)
    except TableError as error:
        sys.exit(str(error))
    with files.whole(options.output) as file:
        json.dump(rows, file, indent=1)
    more = len(matrix.runs(config, matrix.asked_rounds(options.output))) - len(matrix.runs(config))
    print(f"precision: {more} more runs, up to round {max(row['rounds'] for row in rows)}", file=sys.stderr)
