"""Devices side by side: what each framework reaches on each of them, at one batch size."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from framebench.analyse import selection
from framebench.figures import drawing, over_batch_size, registry
from framebench.languages import Language

# What has a panel of its own: inside one, only device and framework differ.
PANEL = [key for key in selection.PANEL if key != "device"]


def draw(
    measurements: pd.DataFrame,
    *,
    confidence: float,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> Figure:
    """One panel per workload, input, track and precision; a line per device and framework, device by device."""
    chosen = selection.at_article_size(measurements, article_batch_sizes)
    rows = over_batch_size.summary(chosen, confidence).sort_values([*PANEL, "device", "framework"])
    panels = list(rows.groupby(PANEL))
    sizes = [0.7 + 0.26 * len(of_panel) for _, of_panel in panels]
    figure = drawing.new_figure(
        body_in=sum(sizes),
        title=language["title_devices"],
        footer="\n".join(
            [
                language["note_runs"],
                language["whiskers"].format(confidence=100 * confidence),
                drawing.provenance(chosen, language, labels),
            ]
        ),
    )
    all_axes = figure.subplots(len(panels), squeeze=False, height_ratios=sizes)[:, 0]
    for axes, (key, of_panel) in zip(all_axes, panels, strict=True):
        block = dict(zip(PANEL, key, strict=True)) | {"batch_size": of_panel["batch_size"].iloc[0]}
        axes.set_title(drawing.row_title(block, language, several_devices=False))
        runs = chosen[(chosen[PANEL] == pd.Series(dict(zip(PANEL, key, strict=True)))).all(axis=1)]
        runs = runs[runs["status"] == "ok"].rename(columns={"images_per_s": "value"})
        names = [f"{row['device']}: {labels[row['framework']]}" for row in of_panel.to_dict("records")]
        over_batch_size.one_batch_size(axes, of_panel, runs, language, names)
        axes.set_xlabel(language["axis_throughput"])
    return figure


FIGURE = registry.Figure(
    "devices",
    draw,
    section="static",
    place=28,
    each=lambda scope: [{}] if len({cell.device for cell in scope.cells}) > 1 else [],
)
