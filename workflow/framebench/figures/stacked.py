"""Bars of parts that add up: one bar per cell, a dot for the whole of each run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd
import seaborn.objects as so
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framebench.analyse import selection
from framebench.figures import drawing
from framebench.languages import Language


@dataclass(frozen=True)
class Stack:
    """What a figure stacks; a language has its title, axis, note, and words for a whole bar, by its name."""

    name: str
    parts: Mapping[str, tuple[str, float]]  # column of the runs → text, opacity
    untold: str  # text for a cell of which runs are ok and none has all parts
    one_scale: bool  # whether a second is as long in every panel


def summed(runs: pd.DataFrame, parts: Collection[str]) -> pd.DataFrame:
    """One row per cell: its key, its state, and the median of each of the parts over its `ok` runs that have them all.

    `sums` lists the sum of the parts of each of these runs. Some parts are only told of the first rounds.
    """
    key = [*selection.PANEL, "batch_size", "framework"]
    rows = []
    for cell, of_cell in runs.groupby(key):
        told = of_cell.loc[of_cell["status"] == "ok", list(parts)].dropna()
        sums = told.sum(axis=1).tolist()
        rows.append(
            dict(zip(key, cell, strict=True))
            | {"state": selection.state(of_cell), "sums": sums}
            | told.median().to_dict()
        )
    return pd.DataFrame(rows)


def draw(
    measurements: pd.DataFrame,
    stack: Stack,
    *,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> Figure:
    """One panel per device, workload, input, track and precision; a bar per framework."""
    runs = selection.at_article_size(measurements, article_batch_sizes)
    rows = summed(runs, stack.parts)
    panels = list(rows.groupby(selection.PANEL))
    several_devices = runs["device"].nunique() > 1
    titles = [drawing.panel_title(of_panel.iloc[0].to_dict(), language, several_devices) for _, of_panel in panels]
    sizes = [0.3, *(0.22 * len(of_panel) for _, of_panel in panels)]
    figure = drawing.new_figure(
        body_in=0.3 + sum(sizes) + sum(0.35 + 0.16 * len(title.split("\n")) for title in titles),
        title=language[f"title_{stack.name}"],
        footer=f"{language[f'note_{stack.name}']}\n{drawing.provenance(runs, language, labels)}",
    )
    legend, *all_axes = figure.subplots(len(sizes), height_ratios=sizes)
    drawing.legend_across(figure, legend, drawing.part_handles(stack.parts, language))
    for axes, title, (_, of_panel) in zip(all_axes, titles, panels, strict=True):
        axes.set_title(title)
        _bars(axes, of_panel, stack, language, labels)
        sums = (rows if stack.one_scale else of_panel)["sums"].explode().dropna()
        axes.set_xlim(0, 1.12 * max([1e-3, *sums]))
    all_axes[-1].set_xlabel(language[f"axis_{stack.name}"])
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, stack: Stack, language: Language, labels: Mapping[str, str]) -> None:
    """One stacked bar per row, top down, the whole of it in words at its right, and a dot for each of its sums."""
    parts = list(stack.parts)
    words, ends = [], []
    cells: list[dict] = rows.to_dict("records")
    for cell in cells:
        total = sum(cell[part] for part in parts)
        untold = stack.untold if cell["state"] == "ok" else f"status_{cell['state']}"
        words.append(language[f"{stack.name}_total"].format(**cell, total=total) if cell["sums"] else language[untold])
        ends.append(max([total, *cell["sums"]]) if cell["sums"] else 0)
    names = rows["framework"].map(labels)
    rows = drawing.styled(rows, rows["framework"]).assign(place=range(len(rows)), name=names, words=words, end=ends)
    rows[parts] = rows[parts].where(rows["sums"].astype(bool))
    runs = rows.explode("sums", ignore_index=True).astype({"sums": float})
    dot = so.Dot({"zorder": 3}, color=drawing.INK, pointsize=2.5, edgewidth=0)
    drawing.paint(axes, runs, (dot, {}), x="sums", y="place")
    drawing.bars_of_parts(axes, rows, stack.parts)
