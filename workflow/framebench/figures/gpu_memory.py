"""Memory of a GPU, measured in four ways that must not be added up."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from framebench.analyse import selection
from framebench.figures import drawing, registry
from framebench.languages import Language

# Column of measurements.csv → text of the legend, marker, and whether the marker is filled.
NUMBERS = {
    "gpu_context_mib": ("gpu_memory_context", "|", True),
    "allocator_peak_mib": ("gpu_memory_live", "o", True),
    "allocator_reserved_peak_mib": ("gpu_memory_reserved", "o", False),
    "gpu_peak_delta_mib": ("gpu_memory_card", "D", False),
}
KEY = [*selection.PANEL, "batch_size", "framework"]


def numbers(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: its key, its state, and the median in MiB of each of NUMBERS over its `ok` runs.

    NaN if no run reports it.
    """
    rows = []
    for cell, runs in measurements.groupby(KEY):
        medians = runs.loc[runs["status"] == "ok", list(NUMBERS)].median()
        state = selection.state(runs)
        if state == "ok" and medians.isna().all():
            state = "not_measured"
        rows.append(dict(zip(KEY, cell, strict=True)) | {"state": state} | medians.to_dict())
    return pd.DataFrame(rows)


def draw(measurements: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> drawing.Captioned:
    """One panel per device, workload, input, track and precision; a line per batch size and framework."""
    measurements = drawing.on_gpus(measurements)
    rows = numbers(measurements)
    styles = drawing.framework_styles(measurements["framework"])
    panels = [
        of_panel.assign(heading=[language["batch"].format(batch_size=size) for size in of_panel["batch_size"]])
        for _, of_panel in rows.groupby(selection.PANEL)
    ]
    several_devices = measurements["device"].nunique() > 1
    figure, all_axes = drawing.panels(
        [drawing.rows_in(drawing.places(list(of_panel["heading"]))) for of_panel in panels],
        language["title_gpu_memory"],
        drawing.provenance(measurements, language, labels),
        [language["note_gpu_memory"]],
        titles=[
            drawing.panel_title(of_panel.iloc[0][selection.PANEL].to_dict(), language, several_devices)
            for of_panel in panels
        ],
        handles=[
            Line2D([], [], label=language[text], **_marker(name, drawing.INK)) for name, (text, *_) in NUMBERS.items()
        ],
    )
    widest = 1.08 * max([1.0, *rows[list(NUMBERS)].max().dropna()])
    for axes, of_panel in zip(all_axes, panels, strict=True):
        at = drawing.places(list(of_panel["heading"]))
        for place, cell in zip(at, of_panel.to_dict("records"), strict=True):
            if cell["state"] != "ok":
                axes.text(0.01 * widest, place, language[f"status_{cell['state']}"], va="center")
            for name in NUMBERS:
                axes.plot([cell[name]], [place], **_marker(name, styles[cell["framework"]][0]))
        drawing.name_rows(axes, at, of_panel["framework"].map(labels), headings=list(of_panel["heading"]))
        axes.set_xlim(0, widest)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter("{x:,.0f}")
    all_axes[-1].set_xlabel(language["axis_gpu_memory_peak"])
    return figure


def _marker(name: str, colour: str) -> dict:
    """Style of one of NUMBERS."""
    _, marker, filled = NUMBERS[name]
    return {
        "marker": marker,
        "color": colour,
        "markerfacecolor": colour if filled else "none",
        "markersize": 9 if marker == "|" else 6,
        "markeredgewidth": 1.5,
        "linestyle": "none",
    }


FIGURE = registry.Figure("gpu-memory", draw, section="static", place=23, each=registry.if_gpus)
