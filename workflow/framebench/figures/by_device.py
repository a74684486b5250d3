"""Devices side by side: the throughput of each framework on each device, at one batch size."""

from collections.abc import Mapping

import pandas as pd

from framebench.analyse import selection
from framebench.figures import drawing, over_batch_size, registry
from framebench.languages import Language

# Columns that get a panel for each value; inside a panel, only device and framework differ.
PANEL = [key for key in selection.PANEL if key != "device"]


def draw(
    measurements: pd.DataFrame,
    *,
    confidence: float,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> drawing.Captioned:
    """One panel per workload, input, track and precision; a line per framework under a heading per device."""
    chosen = selection.at_article_size(measurements, article_batch_sizes)
    rows = over_batch_size.summary(chosen, confidence).sort_values([*PANEL, "device", "framework"])
    panels = list(rows.groupby(PANEL))
    headings = [list(of_panel["device"]) for _, of_panel in panels]
    blocks = [of_panel.iloc[0][[*PANEL, "batch_size"]].to_dict() for _, of_panel in panels]
    figure, all_axes = drawing.panels(
        [drawing.rows_in(drawing.places(of_panel)) + 0.25 for of_panel in headings],
        language["title_devices"],
        drawing.provenance(chosen, language, labels),
        [language["note_runs"], language["whiskers"].format(confidence=100 * confidence)],
        titles=[drawing.panel_title(block, language, several_devices=False) for block in blocks],
    )
    for axes, of_devices, block, (key, of_panel) in zip(all_axes, headings, blocks, panels, strict=True):
        runs = chosen[(chosen[PANEL] == pd.Series(key, PANEL)).all(axis=1)]
        runs = runs[runs["status"] == "ok"].rename(columns={"images_per_s": "value"})
        names = [labels[name] for name in of_panel["framework"]]
        over_batch_size.one_batch_size(axes, of_panel, runs, language, names, headings=of_devices)
        axes.set_xlabel(language["axis_throughput"].format(samples=drawing.samples([block["workload"]], language)))
    return figure


FIGURE = registry.Figure(
    "devices",
    draw,
    section="static",
    place=28,
    each=lambda scope: [{}] if len({cell.device for cell in scope.cells}) > 1 else [],
)
