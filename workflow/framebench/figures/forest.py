"""Lines of a forest plot: a ratio each on a log axis, with its interval, and in words at the right."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn.objects as so
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from framebench.figures import drawing
from framebench.languages import Language

# What a line is: heading above the lines that share it; label at the left, words at the right; the numbers,
# NaN where there are none; `shown`: filled, since something is shown of the ratio; `barred`: hatched.
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

AROUND_IN = 0.75

# A heading takes this many lines.
HEADING = 1.3


def height_in(lines: pd.DataFrame) -> float:
    """Inches that these lines need; AROUND_IN more for the title over them and the axis under them."""
    return 0.25 * _bottom(lines)


def in_words(row: Mapping[Any, Any], language: Language) -> str:
    """A ratio with its interval, where it has one; that there is none where there is no ratio."""
    if pd.isna(row["ratio"]):
        return language["not_comparable"]
    key = "ratio" if pd.isna(row["ci_low"]) else "ratio_interval"
    return language[key].format(ratio=row["ratio"], low=row["ci_low"], high=row["ci_high"])


def draw(axes: Axes, lines: pd.DataFrame) -> None:
    """Draw one line per row of COLUMNS, top down, with a bold heading where it changes."""
    heights = _heights(lines)
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
    dot = (so.Dot({"zorder": 3}, edgewidth=1), {"color": "face", "edgecolor": "colour", "marker": "marker"})
    drawing.paint(axes, drawn, dot, x="ratio", y="height")
    changes = lines["heading"] != lines["heading"].shift()
    for heading, height in zip(lines["heading"][changes], heights[changes], strict=True):
        text = axes.text(0, height - 1, heading, transform=across, va="center", fontweight="bold", fontsize=9)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # the line at 1 may pass here
    axes.set_yticks(heights, lines["label"], fontsize=8)
    axes.set_ylim(_bottom(lines), 0)
    values = axes.secondary_yaxis("right")
    values.set_yticks(heights, lines["words"], fontsize=8)
    for side in (axes, values):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    reach = lines[["ratio", "ci_low", "ci_high"]].astype(float)
    low, high = np.nanmin([1, reach.min().min()]) / 1.08, np.nanmax([1, reach.max().max()]) * 1.08
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(
        MaxNLocator(6, steps=[1, 2, 5, 10]) if high < 3 * low else LogLocator(subs=(1, 1.5, 2, 3, 5, 7))
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="x")


def _heights(lines: pd.DataFrame) -> pd.Series:
    """Where each line stands, counted in lines from the top."""
    groups = (lines["heading"] != lines["heading"].shift()).cumsum()
    return HEADING * groups + np.arange(len(lines))


def _bottom(lines: pd.DataFrame) -> float:
    return _heights(lines).max() + 0.7 if len(lines) else 1
