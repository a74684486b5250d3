"""The largest batch that trains, by framework, with the devices side by side."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from framebench.analyse.table import flagged, one_line
from framebench.figures import drawing, registry
from framebench.languages import Language

PANEL = ["workload", "precision"]
COLUMNS = 3
NAMES_IN = 1.5  # width of the frameworks' names beside the first column of panels
NUMBER_IN = 0.7  # width of a number beside its bar, or below it
REASON_LENGTH = 160
SHARED = "other_process_on_gpu"  # flag of a search


def draw(largest_batch: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> Figure:
    """A panel per workload, precision and device, the devices side by side; in each, a bar per framework."""
    searches = largest_batch
    devices = sorted(searches["device"].unique())
    columns = min(COLUMNS, len(devices))
    column_in = (drawing.WIDTH_IN - NAMES_IN) / columns
    lines = [
        (f"{workload} · {precision}", rows, devices[first : first + columns])
        for (workload, precision), rows in searches.groupby(PANEL)
        for first in range(0, len(devices), columns)
    ]
    sizes = [0.25 * rows["framework"].nunique() for _, rows, _ in lines]
    figure = drawing.new_figure(
        body_in=0.4 + sum(0.65 + size for size in sizes),
        title=language["title_largest_batch"],
        footer="\n".join([*_notes(searches, language, labels), drawing.provenance(searches, language, labels)]),
    )
    grid = figure.subplots(len(lines), columns, squeeze=False, height_ratios=sizes)
    for (title, rows, of_line), line in zip(lines, grid, strict=True):
        frameworks = sorted(rows["framework"].unique())
        # The same scale on every device, with room for the number beside the longest bar.
        widest = np.nanmax([rows["largest"].max(), 1]) / (1 - NUMBER_IN / column_in)
        for axes in line[len(of_line) :]:
            axes.set_axis_off()
        for device, axes in zip(of_line, line, strict=False):
            axes.set_title(drawing.wrapped(f"{title} · {device}", column_in, " · "))
            _bars(axes, rows[rows["device"] == device], frameworks, language)
            axes.set_xlim(0, widest)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_major_locator(MaxNLocator(max(1, int(column_in / NUMBER_IN) - 1), integer=True))
            axes.set_yticks(range(len(frameworks)), [labels[framework] for framework in frameworks], fontsize=8)
            axes.tick_params(axis="y", length=0, labelleft=axes is line[0])
    for axes in grid[-1]:
        axes.set_xlabel(drawing.wrapped(language["axis_batch_size"], column_in))
    return figure


def _bars(axes: Axes, found: pd.DataFrame, frameworks: list[str], language: Language) -> None:
    """A bar and its number for each framework, top down; what became of the search where it found none."""
    rows = found.set_index("framework").reindex(frameworks).reset_index().fillna({"status": "not_measured"})
    rows = drawing.styled(rows, frameworks).assign(place=range(len(rows)), name="")
    rows["end"] = rows["largest"].where(rows["status"] == "ok", 0.0)
    keys = ("largest_batch" + rows["bound"].map({"at_most": "_at_least"}).fillna("")).where(
        rows["status"] == "ok", "status_" + rows["status"]
    )
    rows["words"] = [language[key].format(images=images) for key, images in zip(keys, rows["end"], strict=True)]
    drawing.bars_of_parts(axes, rows, {"end": ("", 1.0)})


def _notes(searches: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> Iterator[str]:
    """The small print: how it was found, in how much memory, and why not."""
    yield language["note_largest_batch"]
    for device, rows in searches.groupby("device"):
        for column, text in {
            "gpu_memory_total_mib": "largest_batch_of_gpu",
            "host_memory_mib": "largest_batch_of_host",
        }.items():
            for mib in rows[column].dropna().unique():
                yield language[text].format(device=device, mib=mib)
    if shared := sorted(searches.loc[flagged(searches, SHARED), "device"].unique()):
        yield language["largest_batch_shared"].format(devices=", ".join(shared))
    for row in searches[searches["status"] != "ok"].to_dict("records"):
        what = ", ".join([labels[row["framework"]], row["workload"], row["precision"], row["device"]])
        yield language["largest_batch_reason"].format(what=what, reason=one_line(str(row["reason"]), REASON_LENGTH))


FIGURE = registry.Figure(
    "largest-batch", draw, section="static", place=30, each=lambda scope: [{}] if scope.searched else []
)
