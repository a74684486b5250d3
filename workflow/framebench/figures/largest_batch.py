"""The largest batch that trains, by device and framework."""

from collections.abc import Iterator, Mapping

import pandas as pd
from matplotlib.ticker import MaxNLocator

from framebench.analyse.table import flagged, one_line
from framebench.figures import drawing, registry
from framebench.languages import Language

PANEL = ["workload", "precision"]
REASON_LENGTH = 160
SHARED = "other_process_on_gpu"  # flag of a search


def draw(largest_batch: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> drawing.Captioned:
    """A panel per workload and precision, all on one scale, with a bar per framework under a heading per device."""
    panels = [_bars(rows, language, labels) for _, rows in largest_batch.groupby(PANEL)]
    figure, all_axes = drawing.panels(
        [drawing.rows_in(of_panel["place"]) for of_panel in panels],
        language["title_largest_batch"],
        drawing.provenance(largest_batch, language, labels),
        _notes(largest_batch, language, labels),
        titles=[" · ".join(of_panel.iloc[0][PANEL]) for of_panel in panels],
    )
    for axes, of_panel in zip(all_axes, panels, strict=True):
        drawing.bars_of_parts(axes, of_panel, {"end": ("", 1.0)})
        axes.set_xlim(0, 1.02 * max(1, of_panel["end"].max()))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
    all_axes[-1].set_xlabel(language["axis_batch_size"])
    return figure


def _bars(found: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> pd.DataFrame:
    """A bar and its number for each framework on each device; the search's status if it found none."""
    key = ["device", "framework"]
    every = pd.MultiIndex.from_product([sorted(found[one].unique()) for one in key], names=key)
    rows = found.set_index(key).reindex(every).reset_index().fillna({"status": "not_measured"})
    rows = drawing.styled(rows, rows["framework"]).assign(**{one: found[one].iloc[0] for one in PANEL})
    rows = rows.assign(heading=rows["device"], place=drawing.places(list(rows["device"])))
    rows["name"], rows["end"] = rows["framework"].map(labels), rows["largest"].where(rows["status"] == "ok", 0.0)
    keys = ("largest_batch" + rows["bound"].map({"at_most": "_at_least"}).fillna("")).where(
        rows["status"] == "ok", "status_" + rows["status"]
    )
    return rows.assign(words=[language[key].format(images=end) for key, end in zip(keys, rows["end"], strict=True)])


def _notes(searches: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> Iterator[str]:
    """The caption: the method, the memory available, and the reasons of failed searches."""
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
