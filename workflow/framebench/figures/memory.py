"""Host memory of the training process: after the import, added by model and data, and the peak."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from framebench.analyse import selection
from framebench.figures import drawing, registry
from framebench.languages import Language

# In the order in which a process reaches them: column of measurements.csv → text, opacity of its rise.
LEVELS = {
    "host_rss_import_mib": ("memory_import", 0.3),
    "host_rss_built_mib": ("memory_built", 0.6),
    "host_rss_training_peak_mib": ("memory_peak", 1.0),
}


def levels(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: its key, its state, and the median in MiB of each of LEVELS over its `ok` runs.

    NaN if no run has the value. A level below the previous one (memory was given back) is raised to it, so that the
    rises between them are never negative.
    """
    key = [*selection.PANEL, "batch_size", "framework"]
    rows = []
    for cell, runs in measurements.groupby(key):
        medians = runs.loc[runs["status"] == "ok", list(LEVELS)].median().cummax()
        rows.append(dict(zip(key, cell, strict=True)) | {"state": selection.state(runs)} | medians.to_dict())
    return pd.DataFrame(rows)


def draw(measurements: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> drawing.Captioned:
    """One panel per device, workload, input, track and precision; a bar per batch size and framework."""
    rows = levels(measurements)
    rows = drawing.styled(rows, rows["framework"])
    panels = [_rises(of_panel, language, labels) for _, of_panel in rows.groupby(selection.PANEL)]
    several_devices = measurements["device"].nunique() > 1
    figure, all_axes = drawing.panels(
        [drawing.rows_in(of_panel["place"]) for of_panel in panels],
        language["title_memory"],
        drawing.provenance(measurements, language, labels),
        [language["note_memory"]],
        titles=[
            drawing.panel_title(of_panel.iloc[0][selection.PANEL].to_dict(), language, several_devices)
            for of_panel in panels
        ],
        handles=drawing.part_handles(LEVELS, rows["framework"], language),
    )
    widest = 1.02 * np.nanmax([rows["host_rss_training_peak_mib"].max(), 1])
    for axes, of_panel in zip(all_axes, panels, strict=True):
        drawing.bars_of_parts(axes, of_panel, LEVELS)
        axes.set_xlim(0, widest)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter("{x:,.0f}")
    all_axes[-1].set_xlabel(language["axis_memory"])
    return figure


def _rises(cells: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> pd.DataFrame:
    """The bars of a panel: the rise to each of LEVELS, under a heading for each batch size."""
    peak = cells["host_rss_training_peak_mib"]
    known = cells[list(LEVELS)].where(peak.notna()).astype(float).ffill(axis=1).fillna(0)
    states = cells["state"].where(peak.isna() & (cells["state"] != "ok"), "not_measured")
    headings = [language["batch"].format(batch_size=size) for size in cells["batch_size"]]
    return cells.assign(
        **known.diff(axis=1).fillna(known),
        heading=headings,
        place=drawing.places(headings),
        name=cells["framework"].map(labels),
        words=[
            language[f"status_{state}"] if pd.isna(mib) else f"{mib:,.0f}"
            for state, mib in zip(states, peak, strict=True)
        ],
    )


FIGURE = registry.Figure("memory", draw, section="static", place=22)
