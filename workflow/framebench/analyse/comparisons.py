"""Compares every two frameworks of every block: `python -m framebench.analyse.comparisons --help`."""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping
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


Pair = tuple[str, str]  # workload and framework


def comparisons(
    measurements: pd.DataFrame, confidence: float, uncertified: Mapping[Pair, str] | None = None
) -> pd.DataFrame:
    """One row of COLUMNS per block and ordered pair of frameworks in it, from a table of measurements.

    `ratio` is the geometric mean, over the `rounds` in which both have a run that is ok, of the framework's
    images per second divided by the reference's; `ci_low` and `ci_high` bound it at level `confidence`. They
    are null where there are too few rounds to compute them from; then `verdict` says why. The opposite pair
    has the inverse of the same numbers. A pair of which a framework is among the `uncertified` is not
    comparable for the reason given there; its ratio is computed all the same.
    Raises ValueError where a run that is ok has no positive speed.
    """
    rows = []
    for block, runs in measurements.groupby(BLOCK):
        sides = dict(iter(runs.groupby("framework")))
        for first, second in combinations(sides, 2):
            estimate = _estimate(sides[first], sides[second], confidence)
            obstacle = _obstacle(sides[first], sides[second], estimate.n) or _first_uncertified(
                str(runs["workload"].iloc[0]), map(str, (first, second)), uncertified or {}
            )
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


def uncertified(measurements: pd.DataFrame, certificates: Iterable[dict]) -> dict[Pair, str]:
    """Why a framework has no valid certificate for a workload, for every pair measured that has none.

    A certificate is valid for the runs that carry its id: those of the same model files and environment.
    """
    known = {(one["workload"], one["framework"]): one for one in certificates}
    reasons: dict[Pair, str] = {}
    for (workload, framework), runs in measurements[measurements["status"] == "ok"].groupby(["workload", "framework"]):
        pair = str(workload), str(framework)
        certificate = known.get(pair)
        if certificate is None:
            reasons[pair] = "none was made"
        elif not certificate["passed"]:
            reasons[pair] = one_line(certificate["reason"], 160)
        elif not (runs["certificate"] == certificate["id"]).all():
            reasons[pair] = "its model files or environment changed since they were measured"
    return reasons


def _first_uncertified(workload: str, frameworks: Iterable[str], reasons: Mapping[Pair, str]) -> str:
    for framework in frameworks:
        if reason := reasons.get((workload, framework)):
            return f"{framework} has no valid certificate for {workload} ({reason})"
    return ""


def _read_certificate(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: is no certificate: {error}: make it anew") from error


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
        "--certificates",
        nargs="*",
        default=[],
        type=Path,
        metavar="CERTIFICATE.json",
        help="without a valid one, a framework is not comparable",
    )
    parser.add_argument("--confidence", required=True, type=float, help="level of the intervals, such as 0.95")
    parser.add_argument("--output", required=True, type=Path, metavar="comparisons.csv")
    options = parser.parse_args(arguments)
    try:
        measurements = read_table(options.measurements)
        try:
            reasons = uncertified(measurements, map(_read_certificate, options.certificates))
            frame = comparisons(measurements, options.confidence, reasons)
        except ValueError as error:
            raise TableError(f"{options.measurements}: {error}") from error
        write_table(frame, options.output)
    except TableError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
