"""The answer in the article's form: the speed of each framework relative to one, default and tuned, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from framebench.analyse import rosetta, selection
from framebench.figures import drawing, registry
from framebench.languages import Language
from framebench.record import BLOCK

TRACKS = ("default", "tuned")
BARS_ACROSS = 14  # bars with a number above each, and gaps one bar wide between groups
COLUMNS = ["framework", "workload", "track", "input", "batch_size", "ratio", "ci_low", "ci_high", "obstacle", "state"]


def relative_speeds(runs: pd.DataFrame, comparisons: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The chart's bars, one row per framework × workload of `runs`, which hold one block per workload.

    Order of workloads: by name, those of the article's charts last and in their order. Order of frameworks: descending
    by the bar of the first workload whose name begins with "gru", else of the first workload; without a ratio last,
    ties by name.
    In COLUMNS: ratio, ci_low, ci_high are NaN if unknown, 1 for the reference; obstacle says why a ratio is not
    comparable, else it is empty; state is `ok`, a failed status, or `not_measured`.
    """
    of_article = list(rosetta.WORKLOADS.values())
    blocks = {str(workload): of_workload for workload, of_workload in runs.groupby("workload")}
    against = comparisons[comparisons["reference"] == reference]
    bars = []
    for of_workload in [blocks[one] for one in [*sorted(set(blocks) - set(of_article)), *of_article] if one in blocks]:
        block = of_workload.iloc[0][BLOCK]
        in_block = against[(against[BLOCK] == block).all(axis=1)]
        for framework in sorted(set(runs["framework"])):
            compared = in_block[in_block["framework"] == framework]
            state = selection.state(of_workload[of_workload["framework"] == framework])
            bar: dict[str, Any] = {"framework": framework, "state": state, "obstacle": ""}
            bar |= {key: block[key] for key in ("workload", "track", "input", "batch_size")}
            if framework == reference and state == "ok":
                bar["ratio"] = 1.0
            elif len(compared):
                bar |= {key: compared.iloc[0][key] for key in ("ratio", "ci_low", "ci_high")}
                bar["obstacle"] = selection.obstacle(compared.iloc[0]["verdict"])
            bars.append(bar)
    table = pd.DataFrame(bars, columns=COLUMNS).astype(dict.fromkeys(["ratio", "ci_low", "ci_high"], float))
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
    baseline: str,
    question: Sequence[str] | None = None,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> drawing.Captioned:
    """The chart for `device`: a group of bars for each problem and track, with a bar for each framework.

    If both frameworks of the `question` were measured, they come first, and speeds are relative to the second; else
    speeds are relative to `baseline`. Raises ValueError if the device has no measurements of that form.
    """
    drawing.check_measured(measurements, device=device, framework=baseline)
    here = measurements[measurements["device"] == device]
    asked = list(question or []) if set(question or []) <= set(here["framework"]) else []
    reference = asked[-1] if asked else baseline
    runs = [selection.article_form(here, track, article_batch_sizes) for track in TRACKS]
    speeds = pd.concat([relative_speeds(one, comparisons, reference) for one in runs if len(one)] or [pd.DataFrame()])
    if speeds.empty:
        raise ValueError(f"device '{device}' has no measurements in float32 to draw")
    frameworks = list(dict.fromkeys([*asked, *sorted(here["framework"].unique())]))
    workloads = list(speeds["workload"].unique())
    speeds = speeds.sort_values(
        ["workload", "track", "framework"],
        key=lambda column: column.map((workloads + list(TRACKS) + frameworks).index),
        ignore_index=True,
    )
    across = max(1, BARS_ACROSS // (len(frameworks) + 1))
    rows = _in_rows(speeds, across)
    styles = drawing.framework_styles(frameworks)
    figure, all_axes = drawing.panels(
        [2.0] * len(rows),
        language["title_article"].format(device=selection.device_name(measurements, device)),
        drawing.provenance(pd.concat(runs), language, labels),
        caption(speeds, comparisons, language),
        titles=[language["axis_relative_speed"].format(baseline=labels[reference]), *[""] * (len(rows) - 1)],
        handles=[Patch(color=styles[name][0], label=labels[name]) for name in frameworks],
    )
    for axes, row in zip(all_axes, rows, strict=True):
        groups = list(row["group"].unique())
        axes.set_xlim(-0.5, (across if len(rows) > 1 else max(2, len(groups))) - 0.5)
        bars = drawing.grouped(row, "group", "framework")
        bars = bars.assign(colour=[styles[name][0] for name in bars["framework"]], hatch="")
        draw_bars(axes, bars, language, written=True)
        axes.set_xticks(range(len(groups)), [_named(row[row["group"] == group].iloc[0], language) for group in groups])
        axes.tick_params(axis="x", length=0)
        axes.set_ylim(0, top(speeds) * 1.08)
    return figure


def _in_rows(speeds: pd.DataFrame, groups_across: int) -> list[pd.DataFrame]:
    """The bars in charts one above the other, with at most that many groups each."""
    group = speeds.groupby(["workload", "track"], sort=False).ngroup()
    return [row for _, row in speeds.assign(group=group).groupby(group // groups_across)]


def _named(bar: pd.Series, language: Language) -> str:
    """The key of a bar's group: problem, batch size and track."""
    words = [bar["workload"], language["batch"].format(batch_size=bar["batch_size"]), language[f"track_{bar['track']}"]]
    return "\n".join([*words, *([language["input_host_short"]] if bar["input"] == "host" else [])])


def draw_bars(axes: Axes, bars: pd.DataFrame, language: Language, *, written: bool = False) -> None:
    """The bars of `relative_speeds`, with colours, places and intervals; a gap states its reason."""
    states = bars["state"].map(lambda state: language["not_comparable" if state == "ok" else f"status_{state}"])
    gaps = states.where(bars["ratio"].isna(), "")
    drawing.relative_speeds(axes, bars.assign(hollow=bars["obstacle"] != "", gap=gaps), written=written)


def caption(speeds: pd.DataFrame, comparisons: pd.DataFrame, language: Language) -> list[str]:
    """The note on whiskers and hollow bars."""
    said = [language["whiskers"].format(confidence=100 * drawing.confidence_of(comparisons))]
    hollow = speeds["ratio"].notna() & (speeds["obstacle"] != "")
    if hollow.any():
        said.append(language["note_hollow"].format(reasons="; ".join(speeds.loc[hollow, "obstacle"].unique())))
    return said


def top(speeds: pd.DataFrame) -> float:
    """Upper end of an axis with room for every bar and interval."""
    return 1.08 * float(np.nanmax([1, speeds[["ratio", "ci_high"]].max().max()]))


def _in_float32(scope: registry.Scope) -> list[registry.Fields]:
    """Each device that measured a cell in the article's precision."""
    devices = {cell.device for cell in scope.cells if cell.precision == "float32"}
    return [{"device": device} for device in sorted(devices)]


FIGURE = registry.Figure("article-{device}", draw, "today", 0, _in_float32, "title_article")
