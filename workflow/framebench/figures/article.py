"""The article's chart from our own measurements: speed relative to a baseline, with intervals."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framebench.analyse import rosetta, selection
from framebench.answer import verdict
from framebench.figures import drawing, registry
from framebench.languages import Language
from framebench.record import BLOCK


def relative_speeds(runs: pd.DataFrame, comparisons: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The chart's bars, one row per framework × workload of `runs`, which hold one block per workload.

    In the order drawn: workloads by name, those of the article's charts last and in their order; frameworks by the bar
    of the first workload whose name begins with "gru", else of the first workload, descending, without a ratio last,
    ties by name.
    Columns: framework, workload, input, batch_size; ratio, ci_low, ci_high (NaN where there is none; the
    baseline is 1); obstacle (why a ratio is not comparable, else empty); state (`ok`, a failed status, or
    `not_measured`).
    """
    of_article = list(rosetta.WORKLOADS.values())
    blocks = {str(workload): of_workload for workload, of_workload in runs.groupby("workload")}
    against_baseline = comparisons[comparisons["reference"] == baseline]
    bars = []
    for of_workload in [blocks[one] for one in [*sorted(set(blocks) - set(of_article)), *of_article] if one in blocks]:
        block = of_workload.iloc[0][BLOCK]
        in_block = against_baseline[(against_baseline[BLOCK] == block).all(axis=1)]
        for framework in sorted(set(runs["framework"])):
            compared = in_block[in_block["framework"] == framework]
            state = selection.state(of_workload[of_workload["framework"] == framework])
            bar: dict[str, Any] = {"framework": framework, "state": state, "obstacle": ""}
            bar |= {key: block[key] for key in ("workload", "input", "batch_size")}
            if framework == baseline and state == "ok":
                bar["ratio"] = 1.0
            elif len(compared):
                bar |= {key: compared.iloc[0][key] for key in ("ratio", "ci_low", "ci_high")}
                bar["obstacle"] = selection.obstacle(compared.iloc[0]["verdict"])
            bars.append(bar)
    columns = [
        "framework",
        "workload",
        "input",
        "batch_size",
        "ratio",
        "ci_low",
        "ci_high",
        "obstacle",
        "state",
    ]
    table = pd.DataFrame(bars, columns=columns)
    workloads = list(table["workload"].unique())
    sorted_by = next((workload for workload in workloads if workload.startswith("gru")), workloads[0])
    speed = table[table["workload"] == sorted_by].set_index("framework")["ratio"].fillna(-1)
    order = sorted(speed.index, key=lambda framework: (-speed[framework], framework))
    return table.sort_values("framework", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)


def draw(
    measurements: pd.DataFrame,
    comparisons: pd.DataFrame,
    *,
    device: str,
    track: str,
    baseline: str,
    question: Sequence[str] | None = None,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> Figure:
    """The chart for `device` and `track`; `labels` gives the display name of each framework.

    The answer in words opens the small print. ValueError where the device has no measurements of that form.
    """
    drawing.check_measured(measurements, device=device, framework=baseline)
    runs = selection.article_form(measurements[measurements["device"] == device], track, article_batch_sizes)
    if runs.empty:
        raise ValueError(f"device '{device}' has no measurements of track {track} in float32 to draw")
    speeds = relative_speeds(runs, comparisons, baseline)
    footer = verdict.answers(comparisons, runs, language, labels, baseline=baseline, question=question)
    footer += verdict.adjustment(comparisons, language)
    footer += caption(speeds, comparisons, language)
    footer.append(drawing.provenance(runs, language, labels))
    figure = drawing.new_figure(
        body_in=4.2,
        title=language[f"title_article_{track}"].format(device=selection.device_name(measurements, device)),
        footer="\n".join(footer),
    )
    problems = [
        ", ".join(
            [
                language.workload(bars["workload"]),
                language["batch"].format(batch_size=bars["batch_size"]),
                language[f"input_{bars['input']}"],
            ]
        )
        for bars in speeds.drop_duplicates("workload").to_dict("records")
    ]
    axes = figure.subplots()
    axes.set_ylabel(language["axis_relative_speed"].format(baseline=labels[baseline]))
    draw_bars(axes, speeds, language, labels)
    drawing.problem_legend(axes, problems, language, colours(speeds["workload"].unique()))
    axes.set_ylim(0, top(speeds))
    return figure


def draw_bars(axes: Axes, speeds: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> None:
    """The bars of `relative_speeds` with their intervals, in axes of the article's form; a gap says why it is one."""
    workloads = speeds["workload"].unique()
    states = speeds["state"].map(lambda state: language["not_comparable" if state == "ok" else f"status_{state}"])
    bars = speeds.assign(
        framework=speeds["framework"].map(labels),
        hatched=speeds["obstacle"] != "",
        gap=states.where(speeds["ratio"].isna(), ""),
    )
    drawing.relative_speeds(axes, bars, dict(zip(workloads, colours(workloads), strict=True)))


def colours(workloads: Iterable[str]) -> list[str]:
    """One for each, of drawing.PROBLEMS: those of the article's charts have the same here as there."""
    of_article = list(rosetta.WORKLOADS.values())
    others = iter(drawing.PROBLEMS[len(of_article) :])
    return [
        drawing.PROBLEMS[of_article.index(workload)] if workload in of_article else next(others)
        for workload in workloads
    ]


def caption(speeds: pd.DataFrame, comparisons: pd.DataFrame, language: Language) -> list[str]:
    """What whiskers and hatching mean."""
    said = [language["whiskers"].format(confidence=100 * drawing.confidence_of(comparisons))]
    hatched = speeds["ratio"].notna() & (speeds["obstacle"] != "")
    if hatched.any():
        reasons = "; ".join(speeds.loc[hatched, "obstacle"].unique())
        said.append(language["note_hatched"].format(reasons=reasons))
    return said


def top(speeds: pd.DataFrame) -> float:
    """Where an axis ends that has room for every bar and interval."""
    return 1.08 * float(np.nanmax([1, speeds[["ratio", "ci_high"]].max().max()]))


def _in_float32(track: str) -> Callable[[registry.Scope], list[registry.Fields]]:
    """Each device that measures a cell of this track in the precision of the article."""

    def devices(scope: registry.Scope) -> list[registry.Fields]:
        found = {cell.device for cell in scope.cells if (cell.track, cell.precision) == (track, "float32")}
        return [{"device": device} for device in sorted(found)]

    return devices


FIGURES = [
    registry.Figure(name, draw, "today", place, _in_float32(track), f"title_article_{track}", {"track": track})
    for place, (name, track) in enumerate([("article-{device}", "default"), ("article-{device}-tuned", "tuned")])
]
