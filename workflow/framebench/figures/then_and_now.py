"""The article's chart of 2018 beside the same chart measured here, on one scale."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from framebench.analyse import rosetta, selection
from framebench.figures import article, article_2018, drawing, registry
from framebench.languages import Language

WORKLOADS = list(rosetta.WORKLOADS.values())


def nearest(device_name: str) -> str:
    """The GPU of 2018 that a device is, else the newer of the two: one of rosetta.GPUS."""
    return next((gpu for gpu in rosetta.GPUS if gpu in device_name), rosetta.GPUS[0])


def with_gaps(speeds: pd.DataFrame, workloads: Sequence[str]) -> pd.DataFrame:
    """The bars of `article.relative_speeds` for each of `workloads` and no other, in that order in each framework.

    Those that no framework was measured with are `not_measured`.
    """
    key = ["framework", "workload"]
    every = pd.MultiIndex.from_product([speeds["framework"].unique(), workloads], names=key)
    return speeds.set_index(key).reindex(every).fillna({"state": "not_measured", "obstacle": ""}).reset_index()


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
) -> Figure:
    """The chart for `device`, of the default track.

    Speeds of 2018 are relative to TensorFlow then, those measured here to `baseline`. ValueError where the device has
    no measurements of a problem of the article in that form.
    """
    drawing.check_measured(measurements, device=device, framework=baseline)
    of_article = (measurements["device"] == device) & measurements["workload"].isin(WORKLOADS)
    runs = selection.article_form(measurements[of_article], "default", article_batch_sizes)
    if runs.empty:
        raise ValueError(f"device '{device}' has no measurements of {', '.join(WORKLOADS)} in float32 to draw")
    name = selection.device_name(measurements, device)
    gpu = nearest(name)
    then = article_2018.relative_speeds(rosetta_2018, gpu)
    now = with_gaps(article.relative_speeds(runs, comparisons, baseline), WORKLOADS)
    handles = drawing.problem_handles(_problems(runs, language))
    sizes = [drawing.legend_height_in(handles, columns=1), 3.6]
    figure = drawing.new_figure(
        body_in=sum(sizes),
        title=language["title_then_and_now"].format(device=name),
        footer="\n".join(
            [
                *article.caption(now, comparisons, language),
                drawing.provenance(runs, language, labels),
                language["note_then"].format(said="\n".join(article_2018.caption(gpu, language))),
            ]
        ),
    )
    # Bars of one width in both charts, but of few frameworks room for the title.
    widths = [len(then), max(4, now["framework"].nunique())]
    axes = figure.subplot_mosaic([["legend", "legend"], ["then", "now"]], height_ratios=sizes, width_ratios=widths)
    drawing.legend_across(figure, axes["legend"], handles, columns=1)
    article_2018.draw_bars(axes["then"], then)
    axes["then"].set_title(language["then"].format(gpu=gpu, baseline=article_2018.BASELINE))
    axes["then"].set_ylabel(language["axis_then_and_now"])
    article.draw_bars(axes["now"], now, language, labels)
    drawing.slant(axes["now"])
    axes["now"].set_title(language["now"].format(baseline=labels[baseline]))
    axes["now"].sharey(axes["then"])
    axes["now"].tick_params(labelleft=False)
    axes["now"].set_ylim(0, max(article.top(now), 1.08 * then.to_numpy().max()))
    return figure


def _problems(runs: pd.DataFrame, language: Language) -> list[str]:
    """Each problem as it was called in 2018, and which cells here repeat it."""
    problems = []
    for problem, workload in rosetta.WORKLOADS.items():
        repeated = runs[runs["workload"] == workload]
        here = f"{workload}, {language['status_not_measured']}"
        if len(repeated):
            here = drawing.row_title(repeated.iloc[0].to_dict(), language, several_devices=False)
        problems.append(language["then_and_now"].format(then=language[f"problem_{problem}"], now=here))
    return problems


def _repeated(scope: registry.Scope) -> list[registry.Fields]:
    """Each device that measures a problem of the article."""
    cells = [cell for cell in scope.cells if (cell.track, cell.precision) == ("default", "float32")]
    return [{"device": device} for device in sorted({cell.device for cell in cells if cell.workload in WORKLOADS})]


FIGURE = registry.Figure(
    "then-and-now-{device}", draw, section="published", place=10, each=_repeated, title="title_then_and_now"
)
