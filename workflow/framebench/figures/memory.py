"""Host memory of the training process: what the import takes, what model and data add, and the peak."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

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
    rows = drawing.styled(rows, rows["framework"])
    panels = list(rows.groupby(selection.PANEL))
    sizes = [0.3] + [0.5 + 0.23 * (len(cell_rows) + 0.5 * cell_rows["batch_size"].nunique()) for _, cell_rows in panels]
    figure = drawing.new_figure(
        body_in=0.2 + sum(sizes),
        title=language["title_memory"],
        footer=drawing.provenance(measurements, language, labels),
    )
    legend, *all_axes = figure.subplots(len(sizes), height_ratios=sizes)
    drawing.legend_across(figure, legend, drawing.part_handles(LEVELS, language))
    widest = 1.12 * np.nanmax([rows["host_rss_training_peak_mib"].max(), 1])
    several_devices = measurements["device"].nunique() > 1
    for axes, (key, cells) in zip(all_axes, panels, strict=True):
        axes.set_title(drawing.panel_title(dict(zip(selection.PANEL, key, strict=True)), language, several_devices))
        drawing.bars_of_parts(axes, _rises(cells, language, labels), LEVELS)
        axes.set_xlim(0, widest)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    all_axes[-1].set_xlabel(language["axis_memory"])
    return figure


def _rises(cells: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> pd.DataFrame:
    """The bars of a panel: in each of LEVELS the rise to it; a gap between the batch sizes."""
    peak = cells["host_rss_training_peak_mib"]
    known = cells[list(LEVELS)].where(peak.notna()).astype(float).ffill(axis=1).fillna(0)
    states = cells["state"].where(peak.isna() & (cells["state"] != "ok"), "not_measured")
    batches = cells["batch_size"].map(lambda size: language["batch"].format(batch_size=size))
    return cells.assign(
        **known.diff(axis=1).fillna(known),
        place=np.arange(len(cells)) + 0.5 * cells.groupby("batch_size").ngroup(),
        name=cells["framework"].map(labels) + ", " + batches,
        end=peak.fillna(0),
        words=[
            language[f"status_{state}"] if pd.isna(mib) else language["memory_total"].format(mib=mib)
            for state, mib in zip(states, peak, strict=True)
        ],
    )


FIGURE = registry.Figure("memory", draw, section="static", place=22)
