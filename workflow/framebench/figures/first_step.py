"""What a user waits for: importing the framework, building the model, and the first training step."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from framebench.figures import cells, drawing
from framebench.languages import Language

# In the order in which a user waits for them: column of measurements.csv → text, opacity.
PARTS = {
    "import_s": ("first_step_import", 0.3),
    "build_s": ("first_step_build", 0.6),
    "time_to_first_step_s": ("first_step_first", 1.0),
}


def waits(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: its key, its state, and over its `ok` runs the median in seconds of each of PARTS.

    `sums` lists the sum of the parts of each of these runs, in seconds.
    """
    key = [*cells.PANEL, "batch_size", "framework"]
    rows = []
    for cell, of_cell in runs.groupby(key):
        parts = of_cell.loc[of_cell["status"] == "ok", list(PARTS)]
        sums = parts.sum(axis=1, skipna=False).dropna().tolist()
        rows.append(
            dict(zip(key, cell, strict=True)) | {"state": cells.state(of_cell), "sums": sums} | parts.median().to_dict()
        )
    return pd.DataFrame(rows)


def draw(
    measurements: pd.DataFrame, *, article_batch_sizes: Mapping[str, int], language: Language, labels: Mapping[str, str]
) -> Figure:
    """One panel per device, workload, input, track and precision; a bar per framework, a dot per run."""
    runs = cells.at_article_size(measurements, article_batch_sizes)
    rows = waits(runs)
    panels = list(rows.groupby(cells.PANEL))
    several_devices = runs["device"].nunique() > 1
    titles = [drawing.panel_title(of_panel.iloc[0].to_dict(), language, several_devices) for _, of_panel in panels]
    sizes = [0.3, *(0.22 * len(of_panel) for _, of_panel in panels)]
    figure = drawing.new_figure(
        body_in=0.3 + sum(sizes) + sum(0.35 + 0.16 * len(title.split("\n")) for title in titles),
        title=language["title_first_step"],
        footer=f"{language['note_first_step']}\n{drawing.provenance(runs, language, labels)}",
    )
    legend, *all_axes = figure.subplots(len(sizes), height_ratios=sizes)
    parts_shown = [(drawing.tint(drawing.INK, opacity), language[text]) for text, opacity in PARTS.values()]
    drawing.legend_across(figure, legend, [Patch(color=colour, label=label) for colour, label in parts_shown])
    widest = 1.12 * max([1e-3, *rows["sums"].explode().dropna()])
    for axes, title, (_, of_panel) in zip(all_axes, titles, panels, strict=True):
        axes.set_title(title)
        _bars(axes, of_panel, widest, language, labels)
        axes.set_xlim(0, widest)
        axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    all_axes[-1].set_xlabel(language["axis_first_step"])
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, widest: float, language: Language, labels: Mapping[str, str]) -> None:
    """One stacked bar per row, top down, its sum in words at its right."""
    styles = drawing.framework_styles(rows["framework"])
    for place, cell in enumerate(rows.to_dict("records")):
        if not cell["sums"]:
            state = "not_measured" if cell["state"] == "ok" else cell["state"]
            axes.text(0.01 * widest, place, language[f"status_{state}"], va="center", fontsize=8)
            continue
        before = 0.0
        for part, (_, opacity) in PARTS.items():
            colour = drawing.tint(styles[cell["framework"]][0], opacity)
            axes.barh(place, cell[part], left=before, color=colour, height=0.75)
            before += cell[part]
        axes.plot(cell["sums"], np.full(len(cell["sums"]), place), ".", color=drawing.INK, markersize=3)
        total = language["first_step_total"].format(seconds=before)
        axes.text(max([before, *cell["sums"]]) + 0.01 * widest, place, total, va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [labels[framework] for framework in rows["framework"]], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
