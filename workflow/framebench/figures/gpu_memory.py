"""Memory of a GPU in the four ways in which it can be told, which no figure adds to one another."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from framebench.analyse import selection
from framebench.figures import drawing, registry
from framebench.languages import Language

# Column of measurements.csv → text of the legend, marker and whether it is filled.
NUMBERS = {
    "gpu_context_mib": ("gpu_memory_context", "|", True),
    "allocator_peak_mib": ("gpu_memory_live", "o", True),
    "allocator_reserved_peak_mib": ("gpu_memory_reserved", "o", False),
    "gpu_peak_delta_mib": ("gpu_memory_card", "D", False),
}
KEY = [*selection.PANEL, "batch_size", "framework"]


def numbers(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: its key, its state, and over its `ok` runs the median in MiB of each of NUMBERS.

    NaN where no run tells it.
    """
    rows = []
    for cell, runs in measurements.groupby(KEY):
        medians = runs.loc[runs["status"] == "ok", list(NUMBERS)].median()
        state = selection.state(runs)
        if state == "ok" and medians.isna().all():
            state = "not_measured"
        rows.append(dict(zip(KEY, cell, strict=True)) | {"state": state} | medians.to_dict())
    return pd.DataFrame(rows)


def draw(measurements: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> Figure:
    """One panel per device, workload, input, track and precision; a line per batch size and framework."""
    measurements = drawing.on_gpus(measurements)
    rows = numbers(measurements)
    styles = drawing.framework_styles(measurements["framework"])
    panels = list(rows.groupby(selection.PANEL))
    several_devices = measurements["device"].nunique() > 1
    sizes = [0.3] + [0.5 + 0.2 * len(of_panel) for _, of_panel in panels]
    figure = drawing.new_figure(
        body_in=0.3 + sum(sizes),
        title=language["title_gpu_memory"],
        footer=f"{language['note_gpu_memory']}\n{drawing.provenance(measurements, language, labels)}",
    )
    legend, *all_axes = figure.subplots(len(sizes), height_ratios=sizes)
    handles = [
        Line2D([], [], label=language[text], **_marker(name, drawing.INK)) for name, (text, *_) in NUMBERS.items()
    ]
    drawing.legend_across(figure, legend, handles)
    widest = 1.08 * max([1.0, *rows[list(NUMBERS)].max().dropna()])
    for axes, (key, of_panel) in zip(all_axes, panels, strict=True):
        axes.set_title(drawing.panel_title(dict(zip(selection.PANEL, key, strict=True)), language, several_devices))
        names = []
        for place, cell in enumerate(of_panel.to_dict("records")):
            names.append(f"{labels[cell['framework']]}, {language['batch'].format(batch_size=cell['batch_size'])}")
            if cell["state"] != "ok":
                axes.text(0.01 * widest, place, language[f"status_{cell['state']}"], va="center", fontsize=8)
            for name in NUMBERS:
                axes.plot([cell[name]], [place], **_marker(name, styles[cell["framework"]][0]))
        drawing.name_rows(axes, range(len(names)), names)
        axes.set_xlim(0, widest)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    all_axes[-1].set_xlabel(language["axis_gpu_memory_peak"])
    return figure


def _marker(name: str, colour: str) -> dict:
    """How one of NUMBERS is drawn."""
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
