"""Number of rounds that find a difference of a given size, by `statistics.power`."""

import argparse
import math
import sys
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from statistics import stdev

import pandas as pd

from framebench.analyse import markdown
from framebench.analyse.comparisons import MOST_ROUNDS, paired_ratios, pairs
from framebench.analyse.statistics import POWER, power
from framebench.analyse.table import TableError, read_table
from framebench.analyse.tables import Table
from framebench.measure.protocol import MIN_ROUNDS
from framebench.record import BLOCK, CELL_DTYPES

DIFFERENCES = {"rounds_3": 0.03, "rounds_5": 0.05, "rounds_10": 0.1, "rounds_20": 0.2}

COLUMNS = CELL_DTYPES | {
    "reference": "str",
    "log_ratio_sd": "float64",
    "degrees_of_freedom": "Int64",
    "verdicts": "Int64",
    **dict.fromkeys(DIFFERENCES, "Int64"),
}


def rounds_to_find(log_ratio_sd: float, difference: float, confidence: float) -> int | None:
    """The fewest rounds with a power of at least POWER; None above MOST_ROUNDS."""
    rounds = range(MIN_ROUNDS, MOST_ROUNDS + 1)
    # Power grows with the number of rounds.
    place = bisect_left(rounds, POWER, key=lambda number: power(number, log_ratio_sd, difference, confidence))
    return rounds[place] if place < len(rounds) else None


def power_table(measurements: pd.DataFrame, confidence: float, question: Sequence[str] | None = None) -> pd.DataFrame:
    """One row of COLUMNS per block and pair of frameworks whose ratio has a spread, and two more per device.

    `log_ratio_sd` is the standard deviation of the pair's log ratios over the rounds in which both are ok, and the
    columns of DIFFERENCES are the rounds that find such a difference; null above MOST_ROUNDS. The spread of few
    rounds is itself uncertain, so each device has rows without block and pair whose spread is the root of the mean
    variance of all its pairs, weighted by their degrees of freedom. (Pairs with a side in common are not
    independent: the sum of their degrees of freedom makes the pooled spread look surer than it is.)

    `verdicts` is the number of verdicts that share the level: 1 for a comparison alone, and in a device's second row
    that of the family, the pairs that the `question` names or without one all of the table, among which the level is
    then divided: what the adjustment asks of the smallest p-value (see `family`), and more than of any other.
    Raises ValueError for a level that is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, expected a level between 0 and 1, such as 0.95")
    rows = []
    for block, runs in measurements.groupby(BLOCK):
        for names, side, other in pairs(runs):
            logs = [math.log(ratio) for ratio in paired_ratios(side, other)]
            if len(logs) > 1:
                rows.append((*block, *names, stdev(logs), len(logs) - 1, 1))
    spreads = pd.DataFrame(rows, columns=list(COLUMNS)[: len(BLOCK) + 5])
    asked = [
        set(pair) == set(question or pair) for pair in zip(spreads["framework"], spreads["reference"], strict=True)
    ]
    verdicts = [1, max(1, sum(asked))]
    spreads = pd.concat([spreads, *(_pooled(spreads, device, verdicts) for device in spreads["device"].unique())])
    for column, difference in DIFFERENCES.items():
        spreads[column] = [
            rounds_to_find(sd, difference, 1 - (1 - confidence) / verdicts)
            for sd, verdicts in zip(spreads["log_ratio_sd"], spreads["verdicts"], strict=True)
        ]
    return spreads.astype(COLUMNS).reset_index(drop=True)


def _pooled(spreads: pd.DataFrame, device: str, verdicts: list[int]) -> pd.DataFrame:
    """The two rows of a device."""
    ours = spreads[spreads["device"] == device]
    freedom = ours["degrees_of_freedom"].sum()
    sd = math.sqrt((ours["degrees_of_freedom"] * ours["log_ratio_sd"] ** 2).sum() / freedom)
    return pd.DataFrame({"device": device, "log_ratio_sd": sd, "degrees_of_freedom": freedom, "verdicts": verdicts})


def report(table: pd.DataFrame, confidence: float, source: Path) -> str:
    """The pooled rows in words, for docs/statistics.md."""
    rows = []
    for row in table[table["workload"].isna()].to_dict("records"):
        spreads = 100 * table.loc[(table["device"] == row["device"]) & table["workload"].notna(), "log_ratio_sd"]
        alone = "one comparison alone" if row["verdicts"] == 1 else f"the hardest of {row['verdicts']} on one page"
        rounds = ["more" if pd.isna(row[column]) else row[column] for column in DIFFERENCES]
        spread = f"{100 * row['log_ratio_sd']:.1f} ({spreads.min():.1f}–{spreads.max():.1f})"
        rows.append([f"{row['device']}, {alone}", spread, *rounds])
    differences = [f"{100 * difference:g} %" for difference in DIFFERENCES.values()]
    said = (
        f"From `{source}`: rounds that find a difference of this size with {100 * POWER:g} % power at the level "
        f"{confidence:g} (`more` than {MOST_ROUNDS:,}). The spread of a round's log ratio, in %, is pooled over all "
        "pairs of the device; its quietest and its noisiest pair are in brackets.\n\n"
    )
    return said + markdown.table(["device", "spread", *differences], rows)


def main(arguments: list[str] | None = None) -> None:
    """Write the rounds of each device into a page; on failure end the process with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m framebench.analyse.power", description=main.__doc__)
    parser.add_argument("--measurements", required=True, type=Path, metavar="measurements.csv")
    parser.add_argument("--confidence", required=True, type=float, help="level of the intervals, such as 0.95")
    parser.add_argument("--question", nargs=2, metavar="FRAMEWORK", help="the two frameworks of the question")
    parser.add_argument("--page", required=True, type=Path, metavar="FILE.md", help="page with a section `power`")
    options = parser.parse_args(arguments)
    try:
        table = power_table(read_table(options.measurements), options.confidence, options.question)
        markdown.write_section(options.page, "power", report(table, options.confidence, options.measurements))
    except (TableError, OSError, ValueError) as error:
        sys.exit(str(error))


TABLE = Table("power", power_table, keys=BLOCK)

if __name__ == "__main__":
    main()
