"""The article's chart from our own measurements: speed relative to a baseline, with intervals."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from framebench.analyse.table import BLOCK
from framebench.figures import cells, drawing
from framebench.languages import Language


def relative_speeds(
    measurements: pd.DataFrame,
    comparisons: pd.DataFrame,
    device: str,
    baseline: str,
    article_batch_sizes: Mapping[str, int],
) -> pd.DataFrame:
    """The chart's bars, one row per framework × workload of `device`, in the order drawn.

    Columns: framework, workload, input, batch_size; ratio, ci_low, ci_high (NaN where there is none; the
    baseline is 1); obstacle (why a ratio is not comparable, else empty); state (`ok`, a failed status, or
    `not_measured`). Workloads in the order of `article_batch_sizes`; frameworks by the bar of the first
    workload whose name begins with "gru", else of the first workload, descending, without a ratio last,
    ties by name. ValueError where the device has no measurements of that form.
    """
    rows = cells.article_form(measurements[measurements["device"] == device], article_batch_sizes)
    against_baseline = comparisons[comparisons["reference"] == baseline]
    measured = set(rows["workload"])
    workloads = [workload for workload in article_batch_sizes if workload in measured]
    if not workloads:
        raise ValueError(f"device '{device}' has no measurements of track default in float32 to draw")
    bars = []
    for workload in workloads:
        block = rows[rows["workload"] == workload].iloc[0][BLOCK]
        in_block = against_baseline[(against_baseline[BLOCK] == block).all(axis=1)]
        for framework in sorted(set(rows["framework"])):
            runs = rows[(rows["workload"] == workload) & (rows["framework"] == framework)]
            compared = in_block[in_block["framework"] == framework]
            bar = {"framework": framework, "workload": workload, "state": cells.state(runs)}
            bar |= {"input": block["input"], "batch_size": block["batch_size"], "obstacle": ""}
            if framework == baseline and bar["state"] == "ok":
                bar["ratio"] = 1.0
            elif len(compared):
                bar |= compared.iloc[0][["ratio", "ci_low", "ci_high"]].to_dict()
                bar["obstacle"] = cells.obstacle(compared.iloc[0]["verdict"])
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
    sorted_by = next((workload for workload in workloads if workload.startswith("gru")), workloads[0])
    speed = table[table["workload"] == sorted_by].set_index("framework")["ratio"].fillna(-1)
    order = sorted(speed.index, key=lambda framework: (-speed[framework], framework))
    return table.sort_values("framework", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)


def draw(
    measurements: pd.DataFrame,
    comparisons: pd.DataFrame,
    device: str,
    baseline: str,
    article_batch_sizes: Mapping[str, int],
    *,
    language: Language,
    labels: Mapping[str, str],
) -> Figure:
    """The chart for `device`; `labels` gives the display name of each framework."""
    speeds = relative_speeds(measurements, comparisons, device, baseline, article_batch_sizes)
    frameworks = list(speeds["framework"].unique())
    of_device = measurements[measurements["device"] == device]
    footer = [drawing.provenance(of_device, language, labels)]
    footer.append(language["whiskers"].format(confidence=100 * drawing.confidence_of(comparisons)))
    hatched = speeds["ratio"].notna() & (speeds["obstacle"] != "")
    if hatched.any():
        reasons = "; ".join(speeds.loc[hatched, "obstacle"].unique())
        footer.append(language["note_hatched"].format(reasons=reasons))
    figure = drawing.new_figure(
        body_in=4.2,
        title=language["title_article"].format(device=cells.device_name(measurements, device)),
        footer="\n".join(footer),
    )
    per_workload = speeds.drop_duplicates("workload").set_index("workload")
    problems = [
        ", ".join(
            [
                language.workload(str(workload)),
                language["batch"].format(batch_size=bars["batch_size"]),
                language[f"input_{bars['input']}"],
            ]
        )
        for workload, bars in per_workload.iterrows()
    ]
    names = [labels[framework] for framework in frameworks]
    axes = drawing.relative_speed_axes(figure, names, labels[baseline], problems, language)
    workloads = list(per_workload.index)
    width = 0.8 / len(workloads)
    for bar in speeds.to_dict("records"):
        i = workloads.index(bar["workload"])
        at = frameworks.index(bar["framework"]) + (i - (len(workloads) - 1) / 2) * width
        colour = drawing.PROBLEMS[i]
        if pd.isna(bar["ratio"]):
            gap = language["not_comparable"] if bar["state"] == "ok" else language[f"status_{bar['state']}"]
            axes.text(at, 0.02, gap, rotation=90, ha="center", va="bottom", fontsize=8, color=drawing.INK)
        elif not bar["obstacle"]:
            axes.bar(at, bar["ratio"], width * 0.95, color=colour)
        else:
            axes.bar(at, bar["ratio"], width * 0.95, facecolor="none", edgecolor=colour, hatch="///")
        if pd.notna(bar["ci_low"]):
            axes.errorbar(
                at,
                bar["ratio"],
                [[bar["ratio"] - bar["ci_low"]], [bar["ci_high"] - bar["ratio"]]],
                color=drawing.INK,
                capsize=3,
                linewidth=1.2,
            )
    axes.set_ylim(0, 1.08 * np.nanmax([1, speeds[["ratio", "ci_high"]].max().max()]))
    return figure
