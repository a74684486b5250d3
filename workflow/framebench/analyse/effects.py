"""Effects within each framework: what tuning gains, and what the data pipeline costs."""

import pandas as pd

from framebench.analyse.comparisons import (
    FirstRounds,
    across,
    estimate,
    first_rounds,
    method,
    paired_ratios,
    rounds_apart,
)
from framebench.analyse.tables import Table
from framebench.record import BLOCK, CELL, CELL_DTYPES

# The column in which two blocks of a framework differ, with the value of each side of the ratio.
EFFECTS = {"tuned ÷ default": ("track", "tuned", "default"), "host ÷ device": ("input", "host", "device")}
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
}


def effects(measurements: pd.DataFrame, confidence: float, first_rounds: FirstRounds | None = None) -> pd.DataFrame:
    """One row of COLUMNS per effect and framework measured on both of its sides, from a table of measurements.

    `ratio` is the geometric mean, over the rounds in which both sides have a run that is ok, of the same framework's
    images per second, with its interval at level `confidence` where there are enough rounds. The column in which
    the sides differ is null. `first_rounds` as for `comparisons`.
    """
    rows = []
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
            rows.append(
                dict(zip(shared, cell, strict=True))
                | {"effect": effect, "ratio": found.mean, "ci_low": found.low, "ci_high": found.high}
                | {
                    "confidence": confidence,
                    "rounds": found.n,
                    "method": method(ratios, first) + across(apart, found.n),
                }
            )
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(list(COLUMNS)[: len(CELL) + 1], ignore_index=True)


def _of_campaign(measurements: pd.DataFrame, rounds: list[dict], confidence: float) -> pd.DataFrame:
    """Compare each framework's tracks, and its inputs."""
    return effects(measurements, confidence, first_rounds(rounds))


TABLE = Table("effects", _of_campaign, keys=["device", "workload", "precision", "batch_size"])
