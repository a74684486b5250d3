"""Coverage of interval methods on simulated campaigns: `python studies/interval_coverage/simulation.py --help`.

Pairs of runs are drawn from each of SCENARIOS, every method of METHODS makes an interval at CONFIDENCE of each
drawn campaign, and the share of intervals that hold the true ratio is that method's coverage.

The rule of choice, written before the first simulation: of the methods whose coverage at RULE_ROUNDS rounds is at
least nominal, within three standard errors of the simulation, in every scenario in which the logarithm of the
measured ratio is symmetric about that of the true one, the one whose intervals are the shortest, by the geometric
mean over these scenarios of their median length on the log scale. `statistics.METHOD` is that method;
`statistics.MIN_ROUNDS` is the fewest rounds simulated at which its coverage is nominal in the same sense. The tables
stand in docs/statistics.md.

A skewed scenario (ONE_SIDED) stands beside, outside the rule: the true ratio, a geometric mean, then depends on
runs so rare that most campaigns of five rounds see none, and no interval of finite length can cover it as often
as it says whatever the distribution (Bahadur and Savage, "The Nonexistence of Certain Statistical Procedures in
Nonparametric Problems", Annals of Mathematical Statistics 27, 1956).

The section `pages` tells whether the pairs of a page may share their spread: see `shared_spread`.
"""

import argparse
import math
import sys
import zlib
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator

import shared_spread
from candidates import (
    AT_LEAST,
    AT_MOST,
    CONFIDENCE,
    METHODS,
    ONE_SIDED,
    SCENARIOS,
    TWO_STAGE,
    Array,
    two_stage,
)
from framebench.analyse import markdown
from framebench.analyse.table import TableError, write_table

ROUNDS = (2, 3, 5, 10)
RULE_ROUNDS = 5
RATIOS = (1.0, 1.02, 1.1, 2.0)
HALF_WIDTHS = (0.02, 0.05, 0.1)

COLUMNS = {
    "method": "str",
    "scenario": "str",
    "rounds": "int64",
    "half_width": "float64",
    "ratio": "float64",
    "repetitions": "int64",
    "coverage": "float64",
    "coverage_error": "float64",
    "length": "float64",
    "claimed": "float64",
    "median_rounds": "float64",
    "reached": "float64",
}


def simulate(repetitions: int, seed: int, tell: Callable[[str], None] = lambda line: None) -> pd.DataFrame:
    """One row of COLUMNS per method, scenario, number of rounds and ratio, each from so many drawn campaigns.

    `coverage` is the share of intervals that hold the true ratio, `coverage_error` its standard error, `length`
    the median of log(upper end / lower end) and `claimed` the share of intervals that exclude 1; all are null where
    the method has no interval. Rounds to precision have a `half_width` and take at most `rounds`: `median_rounds`,
    and the share of intervals that `reached` that half width.
    """
    rows = []
    for scenario, rounds in product(SCENARIOS, (*ROUNDS, AT_MOST)):
        tell(f"{scenario}, {rounds} rounds")
        for ratio in RATIOS:
            # Each place in the table has its own stream, so that another scenario changes no number of this one.
            random = np.random.default_rng([seed, zlib.crc32(f"{scenario} {rounds} {ratio}".encode())])
            drawn: dict[tuple[str, float], list[Array]] = {}
            for size in _chunks(repetitions):
                a, b = SCENARIOS[scenario](random, (size, rounds))
                for key, made in _intervals(a + math.log(ratio), b, random).items():
                    drawn.setdefault(key, []).append(np.stack(made))
            for (method, half_width), parts in drawn.items():
                place = (method, scenario, rounds, half_width, ratio, repetitions)
                rows.append((*place, *_summary(np.concatenate(parts, axis=1), math.log(ratio), half_width)))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _chunks(repetitions: int) -> Iterator[int]:
    """Sizes that sum to this; a thousand resampled campaigns fit into a processor's cache."""
    for start in range(0, repetitions, 1000):
        yield min(1000, repetitions - start)


def _intervals(a: Array, b: Array, random: Generator) -> dict[tuple[str, float], tuple[Array, Array, Array]]:
    """By method and half width: lower and upper ends and rounds measured, of every campaign."""
    if a.shape[1] < AT_MOST:
        rounds = np.full(len(a), a.shape[1])
        return {(name, math.nan): (*method(a, b, random), rounds) for name, method in METHODS.items()}
    made: dict[tuple[str, float], tuple[Array, Array, Array]] = {}
    for half_width in HALF_WIDTHS:
        intervals, rounds = two_stage(a, b, half_width)
        made |= {(name, half_width): (*interval, rounds) for name, interval in intervals.items()}
    return made


def _summary(made: Array, truth: float, half_width: float) -> tuple[float, ...]:
    """The last columns of COLUMNS from lower ends, upper ends and rounds."""
    low, high, rounds = made
    if np.isnan(low).all():
        return (math.nan,) * 6
    coverage = float(np.mean((low <= truth) & (truth <= high)))
    length = float(np.median(high - low))
    claimed = float(np.mean((low > 0) | (high < 0)))
    error = math.sqrt(coverage * (1 - coverage) / len(low))
    if math.isnan(half_width):
        return coverage, error, length, claimed, math.nan, math.nan
    # A millionth more, for the rounding of an interval that is exactly as long as was asked for.
    reached = float(np.mean((high - low) / 2 <= math.log1p(half_width) * (1 + 1e-6)))
    return coverage, error, length, claimed, float(np.median(rounds)), reached


def pooled(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `simulate` with all ratios taken together, and whether the coverage is `nominal`.

    On the log scale every method here moves with the ratio, which therefore changes nothing but the draw.
    """
    place = ["method", "scenario", "rounds", "half_width"]
    together = frame.groupby(place, sort=False, dropna=False).agg(
        repetitions=("repetitions", "sum"),
        coverage=("coverage", "mean"),
        length=("length", "median"),
        median_rounds=("median_rounds", "median"),
        reached=("reached", "mean"),
    )
    together = together.reset_index()
    return together.assign(nominal=together["coverage"] >= CONFIDENCE - 3 * _error(together["repetitions"]))


def _error(repetitions: Any) -> Any:
    """The standard error of a coverage that is nominal, of so many campaigns."""
    return np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / repetitions)


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """What the rule of choice sees, from `pooled`: per method and fixed number of rounds, whether the coverage is
    `nominal` in every scenario of the rule, and the geometric mean of the `length` over them."""
    ruled = frame[frame["half_width"].isna() & (frame["scenario"] != ONE_SIDED)]
    groups = ruled.groupby(["method", "rounds"], sort=False)
    return groups.agg(
        nominal=("nominal", "all"), length=("length", lambda lengths: np.exp(np.log(lengths).mean()))
    ).reset_index()


def chosen(frame: pd.DataFrame) -> tuple[str, int]:
    """The method that the rule chooses, from `judged`, and the fewest rounds at which its coverage is nominal.

    Raises ValueError where no method is nominal in every scenario.
    """
    nominal = frame[frame["nominal"]]
    carried = nominal[nominal["rounds"] == RULE_ROUNDS]
    if carried.empty:
        raise ValueError("no method has nominal coverage in every scenario")
    method = str(carried.sort_values("length")["method"].iloc[0])
    return method, int(nominal.loc[nominal["method"] == method, "rounds"].min())


def report(frame: pd.DataFrame, seed: int) -> str:
    """The tables of docs/statistics.md from the rows of `simulate`."""
    together = pooled(frame)
    judgement = judged(together)
    method, fewest = chosen(judgement)
    repetitions = frame["repetitions"].iloc[0]
    parts = [
        f"{repetitions:,} campaigns of each scenario, number of rounds and true ratio ({', '.join(map(str, RATIOS))}); "
        f"seed {seed}. The rule chooses: **{method}**, nominal from {fewest} rounds on. Coverages are of "
        f"{100 * CONFIDENCE:g} % intervals, of all ratios together unless said otherwise, with a standard error of "
        f"{100 * _error(repetitions * len(RATIOS)):.2f} where nominal; those below nominal are in italics.\n"
    ]
    for rounds in (RULE_ROUNDS, *(other for other in ROUNDS if other != RULE_ROUNDS)):
        parts.append(f"**{rounds} rounds**: coverage in % (upper ÷ lower end of the median interval)\n")
        parts.append(_coverage(together[together["rounds"] == rounds], judgement[judgement["rounds"] == rounds]))
    parts.append(f"**{method}, {RULE_ROUNDS} rounds, by true ratio**: coverage in % (intervals that exclude 1, in %)\n")
    parts.append(_by_ratio(frame[(frame["method"] == method) & (frame["rounds"] == RULE_ROUNDS)]))
    parts.append(
        f"**Rounds to precision**, at least {AT_LEAST} and at most {AT_MOST}: coverage in % (upper ÷ lower end of the "
        "median interval), and how many intervals were as narrow as asked, in %\n"
    )
    parts.append(_precision(together[together["half_width"].notna()]))
    return "\n".join(parts)


def _coverage(together: pd.DataFrame, judgement: pd.DataFrame) -> str:
    """Scenarios down, methods across."""
    rows = [[scenario, *_cells(of_scenario)] for scenario, of_scenario in together.groupby("scenario", sort=False)]
    rows.append(["**nominal in all but the last**", *("yes" if nominal else "no" for nominal in judgement["nominal"])])
    rows.append(["**upper ÷ lower in all but the last**", *map(_factor, judgement["length"])])
    return markdown.table(["scenario", *judgement["method"]], rows)


def _cells(together: pd.DataFrame) -> list[str]:
    """Coverage in %, in italics where it is not nominal, and the length of the intervals as a factor."""
    cells = []
    for coverage, nominal, length in zip(together["coverage"], together["nominal"], together["length"], strict=True):
        percent = f"{100 * coverage:.1f}" if nominal else f"*{100 * coverage:.1f}*"
        cells.append("–" if math.isnan(coverage) else f"{percent} ({_factor(length)})")
    return cells


def _factor(length: float) -> str:
    """Upper ÷ lower end of an interval of this length on the log scale."""
    return "–" if math.isnan(length) else "∞" if math.isinf(length) else f"{math.exp(length):.2f}"


def _by_ratio(frame: pd.DataFrame) -> str:
    rows = []
    for scenario, of_scenario in frame.groupby("scenario", sort=False):
        shares = zip(100 * of_scenario["coverage"], 100 * of_scenario["claimed"], strict=True)
        rows.append([scenario, *(f"{coverage:.1f} ({claimed:.1f})" for coverage, claimed in shares)])
    return markdown.table(["scenario", *map(str, RATIOS)], rows)


def _precision(together: pd.DataFrame) -> str:
    """Half widths and scenarios down; rounds and the intervals of `two_stage` across."""
    rows = []
    ordered = together.sort_values("half_width", kind="stable")
    for (_, scenario), made in ordered.groupby(["half_width", "scenario"], sort=False):
        cells = [f"{cell}, {100 * reached:.0f}" for cell, reached in zip(_cells(made), made["reached"], strict=True)]
        rows.append(
            [f"{100 * made['half_width'].iloc[0]:g} %, {scenario}", f"{made['median_rounds'].iloc[0]:g}", *cells]
        )
    return markdown.table(["half width and scenario", "median rounds", *TWO_STAGE], rows)


def main(arguments: list[str] | None = None) -> None:
    """Simulate and write; progress on stderr, one line of error and exit status 1 where that cannot be."""
    parser = argparse.ArgumentParser(
        prog="python studies/interval_coverage/simulation.py",
        description="Measure how often each interval method holds the true ratio, on simulated campaigns.",
    )
    parser.add_argument("--repetitions", type=int, default=10_000, help="campaigns per place (default: %(default)s)")
    parser.add_argument(
        "--section",
        choices=("coverage", "pages"),
        default="coverage",
        help="coverage: the methods; pages: a spread shared by the pairs of a page (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1945, help="(default: %(default)s)")
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="FILE",
        help="FILE.csv: every number of the coverage; FILE.md: tables, put into this page's section of that name",
    )
    options = parser.parse_args(arguments)
    if options.repetitions < 1 or options.seed < 0 or options.output.suffix not in (".csv", ".md"):
        parser.error("expected at least 1 repetition, a seed of at least 0 and an output named .csv or .md")
    if options.section == "pages" and options.output.suffix != ".md":
        parser.error("expected an output named .md for the section `pages`")
    try:
        if options.section == "pages":
            markdown.write_section(options.output, "pages", shared_spread.report(options.repetitions, options.seed))
            return
        frame = simulate(options.repetitions, options.seed, lambda line: print(line, file=sys.stderr, flush=True))
        if options.output.suffix == ".csv":
            write_table(frame, options.output)
        else:
            markdown.write_section(options.output, "coverage", report(frame, options.seed))
    except (TableError, OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
