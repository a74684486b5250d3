"""Warm-up: the time from the start of training to the first step as fast as those that follow."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from framebench.analyse import selection
from framebench.figures import drawing, over_batch_size, registry
from framebench.languages import Language
from framebench.record import RUN

STEADY = 3  # intervals at the end of a warm-up; their median is the steady step time
NEAR = 1.1  # a step is fast if it takes at most this many times the steady step time


def fast_after(warmup: pd.DataFrame) -> pd.DataFrame:
    """One row per run of warmup.csv: RUN, and as `value` the seconds before its first interval of fast steps."""
    rows = []
    for run, intervals in warmup.sort_values("interval").groupby(RUN):
        steady = intervals["step_ms"].iloc[-STEADY:].median()
        first = int(np.argmax(intervals["step_ms"].to_numpy() <= NEAR * steady))
        rows.append([*run, float(intervals["t_s"].iloc[first - 1]) if first else 0.0])
    return pd.DataFrame(rows, columns=[*RUN, "value"])


def draw(
    measurements: pd.DataFrame,
    warmup: pd.DataFrame,
    *,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> drawing.Captioned:
    """One panel per device, workload, input, track and precision, with a dot per framework, the median of its runs."""
    runs = selection.at_article_size(measurements, article_batch_sizes)
    shown = fast_after(warmup).merge(runs[[*RUN, "warmup_converged"]], on=RUN)
    key = [*selection.PANEL, "batch_size", "framework"]
    rows = shown.groupby(key)["value"].median().rename("mean").reset_index()
    rows = rows.assign(low=np.nan, high=np.nan, state="ok")
    panels = list(rows.groupby(selection.PANEL))
    caption = [language["note_warmup"].format(near=100 * (NEAR - 1))]
    if unsettled := int(shown["warmup_converged"].eq(False).sum()):
        caption.append(language["note_not_converged"].format(unsettled=unsettled, runs=len(shown)))
    several_devices = runs["device"].nunique() > 1
    figure, all_axes = drawing.panels(
        [drawing.rows_in(range(len(of_panel))) for _, of_panel in panels] or [1],
        language["title_warmup"],
        drawing.provenance(runs, language, labels),
        caption,
        titles=[drawing.panel_title(of_panel.iloc[0].to_dict(), language, several_devices) for _, of_panel in panels],
    )
    for axes, (panel, of_panel) in zip(all_axes, panels, strict=False):
        of_runs = shown[(shown[selection.PANEL] == pd.Series(panel, selection.PANEL)).all(axis=1)]
        names = [labels[name] for name in of_panel["framework"]]
        over_batch_size.one_batch_size(axes, of_panel, of_runs, language, names, said="{:.2f}".format)
    if panels:
        all_axes[-1].set_xlabel(language["axis_warmup_time"])
    else:
        drawing.nothing(all_axes[0], language["status_not_measured"])
    return figure


FIGURE = registry.Figure("warmup", draw, section="steadiness", place=41)
