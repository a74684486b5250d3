"""Report of a campaign of frameworks against themselves: `python -m framebench aa --help`.

Every framework is compared with itself under another name, and with a side that does more work for the same count, so
that the true ratio of every such pair is known (see `framebench.frameworks.self_comparison`).
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from scipy.special import bdtr

from framebench import files
from framebench.analyse import markdown
from framebench.analyse.comparisons import COLUMNS, SAME, SLOWER
from framebench.analyse.power import power, power_table
from framebench.analyse.table import TableError, read_csv, read_table
from framebench.frameworks.self_comparison import AGAIN, base, extra_step_every, side
from framebench.languages import numbers
from framebench.record import BLOCK

EXPECTED = 0.95  # share of campaigns within the range called expected


def report(comparisons: pd.DataFrame, measurements: pd.DataFrame) -> str:
    """Markdown report: how often a difference was found where there is none, and where there is one of known size."""
    itself = comparisons[comparisons["reference"] == comparisons["framework"].map(base)]
    again = itself[itself["framework"].map(side) == AGAIN]
    verdicts = int(comparisons["p_adjusted"].notna().sum()) // 2
    parts = ["# Frameworks against themselves\n"]
    if again["p_adjusted"].notna().any():
        parts += _equal(again[again["p_adjusted"].notna()], verdicts)
    else:
        parts.append(f"Nothing to report: no framework could be compared with itself under the name `…~{AGAIN}`.\n")
    more = itself[itself["framework"].map(extra_step_every).notna()]
    if more["p_adjusted"].notna().any():
        parts += _handicapped(more[more["p_adjusted"].notna()], measurements, verdicts)
    else:
        parts.append("No framework could be compared with itself doing more work: nothing shows what would be found.\n")
    parts += [
        f"{_cell(row)} is left out: {row['verdict']}.\n"
        for row in pd.concat([again, more]).to_dict("records")
        if pd.isna(row["p_adjusted"])
    ]
    return "\n".join(parts)


def _equal(again: pd.DataFrame, verdicts: int) -> list[str]:
    """The equal pairs with an interval: how many look different."""
    confidence = again["confidence"].iloc[0]
    excluding = int(((again["ci_low"] > 1) | (again["ci_high"] < 1)).sum())
    fewest, most = (_quantile(q, len(again), 1 - confidence) for q in ((1 - EXPECTED) / 2, (1 + EXPECTED) / 2))
    claimed = int((again["p_adjusted"] < 1 - confidence).sum())
    said = (
        f"{len(again)} comparisons of a framework with itself. {excluding} of their {100 * confidence:g} % intervals "
        f"exclude 1, {'more' if excluding > most else 'no more'} than chance explains: where intervals hold the truth "
        f"as often as they say, {fewest} to {most} do in {100 * EXPECTED:g} % of such campaigns. {claimed} of the "
        f"verdicts, adjusted for all {verdicts} of the campaign, claim a difference; in at least "
        f"{100 * confidence:g} % of such campaigns none does. {(again['verdict'] == SAME).sum()} say that the two are "
        f"the same within the margin.\n"
    )
    rows = [
        [_cell(row), _interval(row), row["rounds"], f"{row['p']:.3f}", f"{row['p_adjusted']:.3f}"]
        for row in again.to_dict("records")
    ]
    return [said, markdown.table(["the same twice", "ratio", "rounds", "p", "p adjusted"], rows)]


def _handicapped(more: pd.DataFrame, measurements: pd.DataFrame, verdicts: int) -> list[str]:
    """The pairs with a handicapped side and an interval: how many were found, and how many should be."""
    confidence = more["confidence"].iloc[0]
    table = power_table(measurements, confidence)
    spread = table[table["workload"].isna() & (table["verdicts"] == 1)].set_index("device")["log_ratio_sd"]
    counted = more["framework"].map(extra_step_every).astype(float)
    found = more.assign(true=counted / (counted + 1), alone=more["ci_high"] < 1, adjusted=more["verdict"] == SLOWER)
    for promised, level in [("promised", confidence), ("promised_adjusted", 1 - (1 - confidence) / verdicts)]:
        found[promised] = [
            float(power(row["rounds"], spread[row["device"]], 1 / row["true"] - 1, level))
            for row in found.to_dict("records")
        ]
    found["held"] = found["true"].between(found["ci_low"], found["ci_high"])
    # A handicap may be as large as the margin itself: then its ratio is not within, whatever rounding does.
    outside = found["true"] <= (1 + 1e-9) / (1 + found["same_within"])
    said = (
        f"{len(found)} comparisons of a framework with itself doing more work. {found['held'].sum()} of their "
        f"{100 * confidence:g} % intervals hold the true ratio. {found['alone'].sum()} of the intervals find that side "
        f"slower, where the spread of the campaign promises {found['promised'].sum():.1f}; of the verdicts, adjusted "
        f"for all {verdicts} of the campaign, {found['adjusted'].sum()} do, where it promises at least "
        f"{found['promised_adjusted'].sum():.1f}. {(outside & (found['verdict'] == SAME)).sum()} of the verdicts say "
        f"that the two are the same within the margin, of {outside.sum()} where they are not.\n"
    )
    rows = [
        [
            _cell(row),
            f"{row['true']:.3f}",
            _interval(row),
            _yes(row["held"]),
            row["rounds"],
            f"{_yes(row['alone'])} ({100 * row['promised']:.0f} %)",
            f"{_yes(row['adjusted'])} ({100 * row['promised_adjusted']:.0f} %)",
        ]
        for row in found.to_dict("records")
    ]
    header = ["one does more", "true ratio", "ratio", "holds it", "rounds", "found (power)", "adjusted (at least)"]
    return [said, markdown.table(header, rows)]


def _quantile(share: float, trials: int, probability: float) -> int:
    """Smallest number of successes that a given share of binomial draws does not exceed."""
    return next(count for count in range(trials + 1) if bdtr(count, trials, probability) >= share)


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _cell(row: dict) -> str:
    return f"{' · '.join(str(row[key]) for key in BLOCK)} · {row['framework']} ÷ {row['reference']}"


def _interval(row: dict) -> str:
    return numbers.bounded(row["ratio"], row["ci_low"], row["ci_high"], "{:.3f}".format)


def main(arguments: list[str] | None = None) -> None:
    """Read the campaign's tables, write the report; one line on stderr and exit status 1 where that fails."""
    parser = argparse.ArgumentParser(
        prog="python -m framebench aa",
        description="Report what a campaign of frameworks against themselves shows.",
    )
    parser.add_argument("--comparisons", required=True, type=Path, metavar="comparisons.csv")
    parser.add_argument("--measurements", required=True, type=Path, metavar="measurements.csv")
    parser.add_argument("--output", required=True, type=Path, metavar="aa.md")
    options = parser.parse_args(arguments)
    try:
        comparisons = read_csv(options.comparisons, COLUMNS, dtype=COLUMNS)
        text = report(comparisons, read_table(options.measurements))
        with files.whole(options.output, encoding="utf-8") as file:
            file.write(text)
    except (TableError, OSError) as error:
        sys.exit(str(error))
