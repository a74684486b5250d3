"""Bars of parts that add up: one bar per cell, a dot for the sum of each run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from framebench.analyse import selection
from framebench.figures import drawing
from framebench.languages import Language


@dataclass(frozen=True)
class Stack:
    """A stacked figure's parts; a language has its title, axis, note, and words for a whole bar, by its name."""

    name: str
    parts: Mapping[str, tuple[str, float]]  # column of the runs → text, opacity
    untold: str  # text for a cell with ok runs, none of which has all parts
    one_scale: bool  # whether all panels have one scale


def summed(runs: pd.DataFrame, parts: Collection[str]) -> pd.DataFrame:
    """One row per cell: its key, its state, and the median of each part over its `ok` runs that have all parts.

    `sums` lists the sum of the parts of each of these runs. Only the first rounds report some parts.
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
) -> drawing.Captioned:
    """One panel per device, workload, input, track and precision; a bar per framework."""
    runs = selection.at_article_size(measurements, article_batch_sizes)
    rows = summed(runs, stack.parts)
    panels = list(rows.groupby(selection.PANEL))
    several_devices = runs["device"].nunique() > 1
    figure, all_axes = drawing.panels(
        [drawing.rows_in(range(len(of_panel))) for _, of_panel in panels],
        language[f"title_{stack.name}"],
        drawing.provenance(runs, language, labels),
        [language[f"note_{stack.name}"]],
        titles=[drawing.panel_title(of_panel.iloc[0].to_dict(), language, several_devices) for _, of_panel in panels],
        handles=drawing.part_handles(stack.parts, rows["framework"], language),
    )
    for axes, (_, of_panel) in zip(all_axes, panels, strict=True):
        _bars(axes, of_panel, stack, language, labels)
        sums = (rows if stack.one_scale else of_panel)["sums"].explode().dropna()
        axes.set_xlim(0, 1.04 * max([1e-3, *sums]))
        axes.xaxis.set_major_locator(MaxNLocator(5))
    all_axes[-1].set_xlabel(language[f"axis_{stack.name}"])
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, stack: Stack, language: Language, labels: Mapping[str, str]) -> None:
    """One stacked bar per row, top down, with the sum in words at its right, and a dot for each of its sums."""
    parts = list(stack.parts)
    words = []
    cells: list[dict] = rows.to_dict("records")
    for cell in cells:
        untold = stack.untold if cell["state"] == "ok" else f"status_{cell['state']}"
        total = sum(cell[part] for part in parts)
        told = (
            language[f"{stack.name}_total"].format_map({**cell, "total": total}) if cell["sums"] else language[untold]
        )
        words.append(told)
    names = rows["framework"].map(labels)
    rows = drawing.styled(rows, rows["framework"]).assign(place=range(len(rows)), name=names, words=words)
    rows[parts] = rows[parts].where(rows["sums"].astype(bool))
    runs = rows.explode("sums", ignore_index=True).astype({"sums": float})
    dot = drawing.mark("Dot", {"zorder": 3}, color=drawing.INK, pointsize=2.5, edgewidth=0)
    drawing.paint(axes, runs, (dot, {}), x="sums", y="place")
    drawing.bars_of_parts(axes, rows, stack.parts)
