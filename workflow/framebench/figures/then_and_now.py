"""The article's chart of 2018 above the same chart measured here, on one scale, for the problems measured."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from framebench.analyse import rosetta, selection
from framebench.figures import article, article_2018, drawing, registry
from framebench.languages import Language

WORKLOADS = list(rosetta.WORKLOADS.values())


def nearest(device_name: str) -> str:
    """The same GPU of 2018, if the device is one, else the newer of the two: one of rosetta.GPUS."""
    return next((gpu for gpu in rosetta.GPUS if gpu in device_name), rosetta.GPUS[0])


def draw(
    measurements: pd.DataFrame,
    comparisons: pd.DataFrame,
    rosetta_2018: pd.DataFrame,
    *,
    device: str,
    baseline: str,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> drawing.Captioned:
    """The chart for `device`, of the default track.

    Speeds of 2018 are relative to TensorFlow of 2018, those measured here to `baseline`. A framework has its colour in
    both charts; frameworks of 2018 only have none. Problems are hatched. Raises ValueError if the device has no
    measurements of a problem of the article in that form.
    """
    drawing.check_measured(measurements, device=device, framework=baseline)
    of_article = (measurements["device"] == device) & measurements["workload"].isin(WORKLOADS)
    runs = selection.article_form(measurements[of_article], "default", article_batch_sizes)
    if runs.empty:
        raise ValueError(f"device '{device}' has no measurements of {', '.join(WORKLOADS)} in float32 to draw")
    name = selection.device_name(measurements, device)
    gpu = nearest(name)
    now = article.relative_speeds(runs, comparisons, baseline).replace({"framework": dict(labels)})
    then = _as_bars(article_2018.relative_speeds(rosetta_2018, gpu))
    then = then[then["workload"].isin(now["workload"])]
    problems = list(now["workload"].unique())
    styles = drawing.framework_styles(runs["framework"])
    colours = {labels[framework]: colour for framework, (colour, _) in styles.items()}
    hatches = dict(zip(problems, drawing.HATCHES, strict=False))
    said = {problem: _repeated(runs, problem, language) for problem in problems}
    credit, *slips = article_2018.attribution(gpu, language)
    figure, (above, below) = drawing.panels(
        [2.2, 2.2],
        language["title_then_and_now"].format(device=name),
        drawing.provenance(runs, language, labels),
        [
            *said.values(),
            *article.caption(now, comparisons, language),
            language["note_then"].format(said=". ".join([credit, " ".join(slips)])),
        ],
        titles=[
            language["then"].format(gpu=gpu, baseline=article_2018.BASELINE),
            language["now"].format(device=name, baseline=labels[baseline]),
        ],
        handles=[
            Patch(facecolor=drawing.PALE, edgecolor="white", hatch=hatches[problem], linewidth=0, label=problem)
            for problem in problems
        ],
    )
    for axes, bars in ((above, then), (below, now)):
        placed = drawing.grouped(bars, "framework", "workload")
        colour = placed["framework"].map(colours).fillna(drawing.PALE)
        article.draw_bars(axes, placed.assign(colour=colour, hatch=placed["workload"].map(hatches)), language)
        frameworks = list(bars["framework"].unique())
        axes.set_xticks(range(len(frameworks)), frameworks)
        drawing.slant(axes)
        axes.set_xlim(-0.5, max(then["framework"].nunique(), len(frameworks)) - 0.5)
        axes.set_ylim(0, max(article.top(now), article.top(then)))
        axes.set_ylabel(language["axis_then_and_now"])
    return figure


def _as_bars(speeds: pd.DataFrame) -> pd.DataFrame:
    """The bars of `article_2018.relative_speeds` in the form of `article.relative_speeds`."""
    bars = speeds.rename(columns=rosetta.WORKLOADS).rename_axis("framework").reset_index()
    bars = bars.melt("framework", var_name="workload", value_name="ratio")
    return bars.assign(ci_low=np.nan, ci_high=np.nan, obstacle="", state="ok")


def _repeated(runs: pd.DataFrame, workload: str, language: Language) -> str:
    """The problem's name in 2018, and the cells here that repeat it."""
    problem = next(problem for problem, one in rosetta.WORKLOADS.items() if one == workload)
    here = drawing.row_title(runs[runs["workload"] == workload].iloc[0].to_dict(), language, several_devices=False)
    return language["then_and_now"].format(then=language[f"problem_{problem}"], now=here.replace("\n", ", "))


def _of_article(scope: registry.Scope) -> list[registry.Fields]:
    """Each device that measured a problem of the article."""
    cells = [cell for cell in scope.cells if (cell.track, cell.precision) == ("default", "float32")]
    return [{"device": device} for device in sorted({cell.device for cell in cells if cell.workload in WORKLOADS})]


FIGURE = registry.Figure(
    "then-and-now-{device}", draw, section="published", place=10, each=_of_article, title="title_then_and_now"
)
