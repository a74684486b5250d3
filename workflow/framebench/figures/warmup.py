"""Warm-up as it was: the step time over the first seconds of training, until measuring began."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from framebench.analyse import selection
from framebench.figures import drawing, registry
from framebench.languages import Language
from framebench.record import RUN


def draw(
    measurements: pd.DataFrame,
    warmup: pd.DataFrame,
    *,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> Figure:
    """One panel per device, workload, input, track and precision, one line per run.

    `warmup` is warmup.csv: its interval 0 is the first step, or the first call of several.
    """
    runs = selection.at_article_size(measurements, article_batch_sizes)
    shown = warmup.merge(runs[[*RUN, "warmup_converged"]], on=RUN).sort_values([*RUN, "interval"])
    panels = list(shown.groupby(selection.PANEL))
    several_devices = runs["device"].nunique() > 1
    titles = [drawing.panel_title(rows.iloc[0].to_dict(), language, several_devices) for _, rows in panels]
    handles = drawing.framework_handles(shown["framework"], labels)
    sizes = [drawing.legend_height_in(handles), *(1.9 + 0.16 * len(title.split("\n")) for title in titles)]
    footer = [language["note_warmup"]]
    if shown["warmup_converged"].eq(False).any():
        footer.append(language["note_not_converged"])
    footer.append(drawing.provenance(runs, language, labels))
    figure = drawing.new_figure(body_in=0.5 + sum(sizes), title=language["title_warmup"], footer="\n".join(footer))
    if not panels:
        figure.text(0.01, 0.6, language["status_not_measured"])
        return figure
    legend, *all_axes = figure.subplots(len(sizes), height_ratios=sizes)
    drawing.legend_across(figure, legend, handles)
    for axes, title, (_, rows) in zip(all_axes, titles, panels, strict=True):
        axes.set_title(title)
        _lines(axes, rows)
        axes.set_xlim(0, 1.03 * rows["t_s"].max())
        axes.set_ylabel(language["axis_step_ms"])
    all_axes[-1].set_xlabel(language["axis_warmup_time"])
    return figure


def _lines(axes: Axes, intervals: pd.DataFrame) -> None:
    """The step time of each interval, from the end of the one before to its own."""
    styles = drawing.framework_styles(intervals["framework"])
    for (framework, _), run in intervals.groupby(["framework", "round"]):
        colour, marker = styles[str(framework)]
        at, step_ms = [0, *run["t_s"]], [run["step_ms"].iloc[0], *run["step_ms"]]
        axes.plot(at, step_ms, color=colour, linewidth=1, alpha=0.7, drawstyle="steps-pre")
        axes.plot(at[1], step_ms[1], marker, color=colour, markersize=5)
        if run["warmup_converged"].eq(False).any():
            axes.plot(at[-1], step_ms[-1], "x", color=colour, markersize=6, markeredgewidth=1.5)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.grid(axis="y")


FIGURE = registry.Figure("warmup", draw, section="steadiness", place=41)
