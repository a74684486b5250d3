"""Host memory of the training process: what the import takes, what model and data add, and the peak."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from framebench.analyse import selection
from framebench.figures import drawing, registry
from framebench.languages import Language

# In the order in which a process passes them: column of measurements.csv → text, opacity of its rise.
LEVELS = {
    "host_rss_import_mib": ("memory_import", 0.3),
    "host_rss_built_mib": ("memory_built", 0.6),
    "host_rss_training_peak_mib": ("memory_peak", 1.0),
}


def levels(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: its key, its state, and the median in MiB of each of LEVELS over its `ok` runs.

    NaN where no run has the value. A level below the one before (memory that was given back) is raised to
    it, so that the rises between them are never negative.
    """
    key = [*selection.PANEL, "batch_size", "framework"]
    rows = []
    for cell, runs in measurements.groupby(key):
        medians = runs.loc[runs["status"] == "ok", list(LEVELS)].median().cummax()
        rows.append(dict(zip(key, cell, strict=True)) | {"state": selection.state(runs)} | medians.to_dict())
    return pd.DataFrame(rows)


def draw(measurements: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> Figure:
    """One panel per device, workload, input, track and precision; a bar per batch size and framework."""
    rows = levels(measurements)
    styles = drawing.framework_styles(measurements["framework"])
    panels = list(rows.groupby(selection.PANEL))
    sizes = [0.3] + [0.5 + 0.23 * (len(cell_rows) + 0.5 * cell_rows["batch_size"].nunique()) for _, cell_rows in panels]
    figure = drawing.new_figure(
        body_in=0.2 + sum(sizes),
        title=language["title_memory"],
        footer=drawing.provenance(measurements, language, labels),
    )
    legend, *all_axes = figure.subplots(len(sizes), height_ratios=sizes)
    levels_shown = [(drawing.tint(drawing.INK, opacity), language[text]) for text, opacity in LEVELS.values()]
    drawing.legend_across(figure, legend, [Patch(color=colour, label=label) for colour, label in levels_shown])
    widest = 1.12 * np.nanmax([rows["host_rss_training_peak_mib"].max(), 1])
    several_devices = measurements["device"].nunique() > 1
    for axes, (key, cell_rows) in zip(all_axes, panels, strict=True):
        axes.set_title(drawing.panel_title(dict(zip(selection.PANEL, key, strict=True)), language, several_devices))
        places: list[float] = []
        names = []
        for group, (batch_size, of_batch) in enumerate(cell_rows.groupby("batch_size")):
            batch = language["batch"].format(batch_size=batch_size)
            for cell in of_batch.to_dict("records"):
                place = len(places) + 0.5 * group
                places.append(place)
                names.append(f"{labels[cell['framework']]}, {batch}")
                if pd.isna(cell["host_rss_training_peak_mib"]):
                    state = "not_measured" if cell["state"] == "ok" else cell["state"]
                    axes.text(0.01 * widest, place, language[f"status_{state}"], va="center", fontsize=8)
                    continue
                below = 0.0
                for column, (_, opacity) in LEVELS.items():
                    colour = drawing.tint(styles[cell["framework"]][0], opacity)
                    if pd.notna(cell[column]):
                        axes.barh(place, cell[column] - below, left=below, color=colour, height=0.8)
                        below = cell[column]
                total = language["memory_total"].format(mib=below)
                axes.text(below + 0.01 * widest, place, total, va="center", fontsize=8)
        axes.set_yticks(places, names, fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(max(places) + 0.6, -0.6)
        axes.set_xlim(0, widest)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    all_axes[-1].set_xlabel(language["axis_memory"])
    return figure


FIGURE = registry.Figure("memory", draw, section="static", place=22)
