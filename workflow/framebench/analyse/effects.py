"""Effects within each framework: the gain of tuning, and the cost of the data pipeline."""

import json
from typing import Any

import pandas as pd

from framebench.analyse.comparisons import (
    FASTER,
    SLOWER,
    FirstRounds,
    across,
    estimate,
    first_rounds,
    method,
    paired_ratios,
    rounds_apart,
)
from framebench.analyse.statistics import holm, p_value
from framebench.analyse.tables import Table
from framebench.plan import catalogue
from framebench.record import BLOCK, CELL, CELL_DTYPES

# The column in which two blocks of a framework differ, with the value of each side of the ratio.
TUNED = "tuned ÷ default"
EFFECTS = {TUNED: ("track", "tuned", "default"), "host ÷ device": ("input", "host", "device")}
DIFFER = [column for column, _, _ in EFFECTS.values()]
COLUMNS = {name: CELL_DTYPES[name] for name in CELL if name not in DIFFER} | {
    "effect": "str",
    **{name: CELL_DTYPES[name] for name in DIFFER},
    "ratio": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "confidence": "float64",
    "rounds": "Int64",
    "method": "str",
    "p": "float64",
    "p_adjusted": "float64",
    "verdict": "str",
}
# Verdicts beside FASTER and SLOWER: nothing is shown; the search kept the default settings, so both sides are the same.
NOT_SHOWN, KEPT = "not shown", "defaults kept"


def effects(measurements: pd.DataFrame, confidence: float, first_rounds: FirstRounds | None = None) -> pd.DataFrame:
    """One row of COLUMNS per effect and framework measured on both of its sides, from a table of measurements.

    `ratio` is the geometric mean, over the rounds in which both sides have a run that is ok, of the same framework's
    images per second, with its interval at level `confidence` where there are enough rounds. The column in which the
    sides differ is null. `first_rounds` as for `comparisons`.

    `p` is the p-value of a true ratio of 1, and `p_adjusted` is adjusted (Holm) for the number of effects in the table.
    The verdict is FASTER or SLOWER if `p_adjusted` is below 1 - confidence, else NOT_SHOWN. If the tuned runs used the
    default settings, the verdict is KEPT, and the effect does not count in that number.
    """
    rows: list[dict[str, Any]] = []
    for effect, (column, above, below) in EFFECTS.items():
        shared = [key for key in CELL if key != column]
        for cell, runs in measurements.groupby(shared):
            sides = {side: runs[runs[column] == side] for side in (above, below)}
            if any(side.empty for side in sides.values()):
                continue
            firsts = [(first_rounds or {}).get(tuple(side.iloc[0][BLOCK])) for side in sides.values()]
            first = min(filter(None, firsts), default=None)
            ratios = paired_ratios(sides[above], sides[below])
            found = estimate(ratios, confidence, first)
            apart = rounds_apart(sides[above], sides[below])
            kept = effect == TUNED and chosen(sides[above]) == {}
            names: dict[str, Any] = dict(zip(shared, cell, strict=True))
            rows.append(
                names
                | {"effect": effect, "ratio": found.mean, "ci_low": found.low, "ci_high": found.high}
                | {
                    "confidence": confidence,
                    "rounds": found.n,
                    "method": method(ratios, first) + across(apart, found.n),
                    "p": p_value(ratios, first) if ratios and not kept else None,
                    "verdict": KEPT if kept else NOT_SHOWN,
                }
            )
    tested = [row for row in rows if row["p"] is not None]
    for row, p_adjusted in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_adjusted"] = p_adjusted
        if p_adjusted < 1 - confidence:
            row["verdict"] = FASTER if row["ratio"] > 1 else SLOWER
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(list(COLUMNS)[: len(CELL) + 1], ignore_index=True)


def chosen(tuned: pd.DataFrame) -> dict[str, object] | None:
    """The settings of one framework's tuned runs that differ from the default ones; None if no run recorded any."""
    recorded = tuned["tuning"].dropna()
    if recorded.empty:
        return None
    defaults = catalogue.adapter(tuned["framework"].iloc[0]).defaults
    return {name: value for name, value in json.loads(recorded.mode()[0]).items() if value != defaults[name]}


def _of_campaign(measurements: pd.DataFrame, rounds: list[dict], confidence: float) -> pd.DataFrame:
    """Compare each framework's tracks, and its inputs."""
    return effects(measurements, confidence, first_rounds(rounds))


TABLE = Table("effects", _of_campaign, keys=["device", "workload", "precision", "batch_size"])
