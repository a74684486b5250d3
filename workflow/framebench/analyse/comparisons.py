"""Compares every two frameworks of every block: `python -m framebench.analyse.comparisons --help`."""

import argparse
import math
import sys
from itertools import combinations
from pathlib import Path

import pandas as pd

from framebench.analyse.statistics import METHOD, MIN_ROUNDS, Estimate, geometric_mean_interval
from framebench.analyse.table import BLOCK, TableError, one_line, read_table, write_table

COLUMNS = {
    "device": "str",
    "workload": "str",
    "track": "str",
    "precision": "str",
    "input": "str",
    "batch_size": "Int64",
    "framework": "str",
    "reference": "str",
    "ratio": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "confidence": "float64",
    "rounds": "Int64",
    "method": "str",
    "verdict": "str",
}


def comparisons(measurements: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row of COLUMNS per block and ordered pair of frameworks in it, from a table of measurements.

    `ratio` is the geometric mean, over the `rounds` in which both have a run that is ok, of the framework's
    images per second divided by the reference's; `ci_low` and `ci_high` bound it at level `confidence`. They
    are null where there are too few rounds to compute them from; then `verdict` says why. The opposite pair
    has the inverse of the same numbers.
    Raises ValueError where a run that is ok has no positive speed.
    """
    rows = []
    for block, runs in measurements.groupby(BLOCK):
        sides = dict(iter(runs.groupby("framework")))
        for first, second in combinations(sides, 2):
            estimate = _estimate(sides[first], sides[second], confidence)
            obstacle = _obstacle(sides[first], sides[second], estimate.n)
            for framework, reference, one in [(first, second, estimate), (second, first, _inverse(estimate))]:
                verdict = f"not comparable: {obstacle}" if obstacle else _verdict(one)
                ratio = (one.mean, one.low, one.high, confidence, one.n, METHOD, verdict)
                rows.append((*block, framework, reference, *ratio))
    rows.sort(key=lambda row: row[: len(BLOCK) + 2])
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _estimate(side: pd.DataFrame, other: pd.DataFrame, confidence: float) -> Estimate:
    """The ratio of the speeds of two frameworks over the rounds in which both are ok."""
    pairs = side[side["status"] == "ok"].merge(other[other["status"] == "ok"], on="round")
    ratios = pairs["images_per_s_x"] / pairs["images_per_s_y"]
    if ratios.empty:
        return Estimate(math.nan, None, None, 0)
    return geometric_mean_interval(ratios.tolist(), confidence)


def _inverse(estimate: Estimate) -> Estimate:
    """The estimate of the inverse ratio, taken from this one so that two opposite rows never disagree."""
    if estimate.low is None or estimate.high is None:
        return Estimate(1 / estimate.mean, None, None, estimate.n)
    return Estimate(1 / estimate.mean, 1 / estimate.high, 1 / estimate.low, estimate.n)


def _obstacle(side: pd.DataFrame, other: pd.DataFrame, rounds: int) -> str:
    """Why two frameworks cannot be compared; empty where they can."""
    failures = []
    for runs in (side, other):
        if not (runs["status"] == "ok").any():
            first = runs.sort_values("round").iloc[0]
            reason = "" if pd.isna(first["reason"]) else f": {one_line(first['reason'], 120)}"
            failures.append(f"{first['framework']} {first['status'].replace('_', ' ')}{reason}")
    if failures:
        return "; ".join(failures)
    if rounds < MIN_ROUNDS:
        return f"only {rounds} {'round' if rounds == 1 else 'rounds'}, an interval needs {MIN_ROUNDS}"
    return ""


def _verdict(estimate: Estimate) -> str:
    if estimate.low is not None and estimate.low > 1:
        return "faster"
    if estimate.high is not None and estimate.high < 1:
        return "slower"
    return "no difference shown"


def main(arguments: list[str] | None = None) -> None:
    """Read measurements, write comparisons; ends the process with one line on stderr where it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m framebench.analyse.comparisons",
        description="Compare every two frameworks of every block of a table of measurements.",
    )
    parser.add_argument("--measurements", required=True, type=Path, metavar="measurements.csv")
    parser.add_argument(
        "--confidence", required=True, type=float, help="level of the intervals, such as 0.95"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="comparisons.csv")
    options = parser.parse_args(arguments)
    try:
        measurements = read_table(options.measurements)
        try:
            frame = comparisons(measurements, options.confidence)
        except ValueError as error:
            raise TableError(f"{options.measurements}: {error}") from error
        write_table(frame, options.output)
    except TableError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
