"""How many times as fast: the ratio of every compared pair in every block, with its interval."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from framebench.analyse.table import BLOCK
from framebench.figures import cells, drawing
from framebench.languages import Language

# The question itself, drawn first: a value right of 1 means that PyTorch is the faster.
QUESTION = ("pytorch", "keras-tensorflow")


def forest(comparisons: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The comparisons drawn, in order: the question's pair, then each framework against `baseline`.

    Rows of comparisons.csv, block by block inside a pair; `pair` numbers the pairs from 0.
    """
    against_baseline = sorted(comparisons.loc[comparisons["reference"] == baseline, "framework"].unique())
    pairs = dict.fromkeys([QUESTION, *((framework, baseline) for framework in against_baseline)])
    drawn = [comparisons.iloc[:0].assign(pair=0)]
    for framework, reference in pairs:
        of_pair = comparisons[(comparisons["framework"] == framework) & (comparisons["reference"] == reference)]
        if len(of_pair):
            drawn.append(of_pair.sort_values(BLOCK).assign(pair=len(drawn) - 1))
    return pd.concat(drawn, ignore_index=True)


def draw(
    measurements: pd.DataFrame,
    comparisons: pd.DataFrame,
    baseline: str,
    language: Language,
    labels: Mapping[str, str],
) -> Figure:
    """One line per block and pair, the ratio on a log axis and in words at the right."""
    rows = forest(comparisons, baseline)
    reasons = rows["verdict"].map(cells.obstacle)
    notes = {reason: i for i, reason in enumerate(filter(None, reasons.unique()), start=1)}
    footer = [f"({i}) {language['not_comparable']}: {reason}" for reason, i in notes.items()]
    footer.append(language["note_ratio"].format(confidence=100 * drawing.confidence_of(comparisons)))
    footer.append(drawing.provenance(measurements, language, labels))
    # Each pair's heading takes 1.3 lines above its rows; y counts lines from the top.
    heights = rows.index + 1.3 * (rows["pair"] + 1)
    bottom = heights.max() + 0.7 if len(rows) else 1
    figure = drawing.new_figure(
        body_in=0.7 + 0.25 * bottom,
        title=language["title_ratio"],
        footer="\n".join(footer),
    )
    axes = figure.subplots()
    axes.axvline(1, color=drawing.INK, linewidth=0.8)
    axes.set_xscale("log")
    several_devices = measurements["device"].nunique() > 1
    across = axes.get_yaxis_transform()
    left, right = [], []
    for row, height, reason in zip(rows.to_dict("records"), heights, reasons, strict=True):
        left.append(drawing.row_title(row, language, several_devices))
        if pd.isna(row["ratio"]):
            words = language["not_comparable"]
        else:
            key = "ratio" if pd.isna(row["ci_low"]) else "ratio_interval"
            words = language[key].format(ratio=row["ratio"], low=row["ci_low"], high=row["ci_high"])
        colour = drawing.INK
        if reason:
            words += f" ({notes[reason]})"
            colour = drawing.PALE
            axes.add_patch(
                Rectangle(
                    (0, height - 0.36),
                    1,
                    0.72,
                    transform=across,
                    fill=False,
                    hatch="////",
                    edgecolor="#DDDDDD",
                    linewidth=0,
                )
            )
        right.append(words)
        shown = row["verdict"] in ("faster", "slower") and pd.notna(row["ci_low"])
        axes.hlines(height, row["ci_low"], row["ci_high"], color=colour, linewidth=1.5)
        axes.plot(
            [row["ratio"]],
            [height],
            "o",
            color=colour,
            markerfacecolor=colour if shown else "white",
            markersize=6,
        )

    firsts = rows.drop_duplicates("pair")
    for first, height in zip(firsts.to_dict("records"), heights[firsts.index], strict=True):
        heading = language["pair"].format(framework=labels[first["framework"]], reference=labels[first["reference"]])
        axes.text(0, height - 1, heading, transform=across, va="center", fontweight="bold", fontsize=9)
    axes.set_yticks(heights, left, fontsize=8)
    axes.set_ylim(bottom, 0)
    values = axes.secondary_yaxis("right")
    values.set_yticks(heights, right, fontsize=8)
    for side in (axes, values):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    reach = rows[["ratio", "ci_low", "ci_high"]]
    low, high = np.nanmin([1, reach.min().min()]) / 1.08, np.nanmax([1, reach.max().max()]) * 1.08
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(
        MaxNLocator(6, steps=[1, 2, 5, 10]) if high < 3 * low else LogLocator(subs=(1, 2, 3, 5, 7))
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    axes.set_xlabel(language["axis_ratio"])
    return figure
