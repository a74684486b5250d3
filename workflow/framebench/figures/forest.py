"""Lines of a forest plot: one ratio each on a log axis, with its interval, and in words at the right."""

from collections.abc import Mapping
from math import ceil, floor, log10
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from framebench.figures import drawing
from framebench.languages import Language, numbers

# Columns of a line: heading above the lines that share it; label at the left, words at the right; the numbers, NaN if
# unknown; `shown`: filled, since the verdict shows something; `barred`: hatched.
COLUMNS = [
    "heading",
    "label",
    "words",
    "ratio",
    "ci_low",
    "ci_high",
    "colour",
    "marker",
    "shown",
    "barred",
]
MOST_TICKS = 4


def size_in(lines: pd.DataFrame) -> float:
    """Height in inches of these lines."""
    return drawing.ROW_IN * (_bottom(lines) + 0.6)


def in_words(row: Mapping[Any, Any], language: Language) -> str:
    """A ratio with its interval, if it has one; words that say so if there is no ratio."""
    if pd.isna(row["ratio"]):
        return language["not_comparable"]
    return numbers.bounded(row["ratio"], row["ci_low"], row["ci_high"])


def draw(axes: Axes, lines: pd.DataFrame) -> None:
    """Draw one line per row of COLUMNS, top down, with a bold heading at each change."""
    heights = pd.Series(_places(lines), lines.index, dtype=float)
    across = axes.get_yaxis_transform()
    axes.axvline(1, color=drawing.INK, linewidth=0.8)
    for height in heights[lines["barred"].astype(bool)]:
        bar: dict[str, Any] = {"fill": False, "hatch": "////", "edgecolor": "#DDDDDD", "linewidth": 0}
        axes.add_patch(Rectangle((0, height - 0.36), 1, 0.72, transform=across, **bar))
    face = lines["colour"].where(lines["shown"].astype(bool), "white")
    drawn = lines.astype(dict.fromkeys(["ratio", "ci_low", "ci_high"], float)).assign(height=heights, face=face)
    interval = {"xmin": "ci_low", "xmax": "ci_high", "color": "colour", "orient": "y"}
    axes.set_xscale("log")
    drawing.paint(axes, drawn, (drawing.INTERVAL, interval), y="height")
    dot = (
        drawing.mark("Dot", {"zorder": 3}, edgewidth=1),
        {"color": "face", "edgecolor": "colour", "marker": "marker"},
    )
    drawing.paint(axes, drawn, dot, x="ratio", y="height")
    drawing.name_rows(axes, heights, lines["label"], lines["words"], list(lines["heading"]))
    axes.set_ylim(_bottom(lines), -0.6)
    axes.spines["left"].set_visible(False)
    reach = lines[["ratio", "ci_low", "ci_high"]].astype(float)
    low, high = np.nanmin([1, reach.min().min()]) / 1.08, np.nanmax([1, reach.max().max()]) * 1.08
    axes.set_xlim(low, high)
    axes.set_xticks(ticks(low, high))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def ticks(low: float, high: float) -> list[float]:
    """Round ratios between these, at most MOST_TICKS: evenly spaced over a small range, by decades over a large one."""
    if high < 3 * low:
        even = MaxNLocator(MOST_TICKS - 1, steps=[1, 2, 5, 10]).tick_values(low, high)
        return [tick for tick in even if low <= tick <= high]
    first, last = floor(log10(low)), ceil(log10(high))
    for steps, decades in (
        ((1, 1.5, 2, 3, 5, 7), 1),
        ((1, 2, 5), 1),
        ((1, 3), 1),
        *(((1,), decades) for decades in range(1, last - first + 1)),
    ):
        powers = [power for power in range(first, last + 1) if power % decades == 0]
        found = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(found) <= MOST_TICKS:
            break
    return found


def _places(lines: pd.DataFrame) -> np.ndarray:
    """Place of each line, counted in rows from the top; a label of two lines takes two rows."""
    more = [label.count("\n") for label in lines["label"]]
    above = np.cumsum([0, *more])[:-1] + np.array(more) / 2 if more else 0
    return drawing.places(list(lines["heading"])) + above


def _bottom(lines: pd.DataFrame) -> float:
    return _places(lines)[-1] + 0.6 + lines["label"].iloc[-1].count("\n") / 2 if len(lines) else 1
