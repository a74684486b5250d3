"""A quantity of each run over the batch size: every run, and their geometric mean with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from framebench.analyse import selection
from framebench.analyse.statistics import geometric_mean_interval
from framebench.figures import drawing
from framebench.languages import Language


@dataclass(frozen=True)
class Quantity:
    """A column of the measurements, and the name by which the languages have its title, axis and note."""

    column: str
    name: str


THROUGHPUT = Quantity("images_per_s", "throughput")

# What others published: a mark of a kind that no measurement has.
STAR: dict[str, Any] = {"marker": "*", "markersize": 11, "markerfacecolor": "white", "linestyle": "none", "zorder": 3}
NO_STARS = pd.DataFrame(columns=[*selection.PANEL, "framework", "year", "published_batch_size", "value"])


def summary(measurements: pd.DataFrame, confidence: float, column: str = THROUGHPUT.column) -> pd.DataFrame:
    """One row per cell: its key, state, and over its `ok` runs mean, low and high in the unit of `column`.

    The geometric mean over processes, bounded at `confidence`; low and high are NaN where the runs are too few,
    as all three are where no run counts or tells the quantity.
    """
    rows = []
    for key, runs in measurements.groupby([*selection.PANEL, "framework", "batch_size"]):
        values = runs.loc[runs["status"] == "ok", column].dropna()
        row = dict(zip([*selection.PANEL, "framework", "batch_size"], key, strict=True))
        row |= {"state": selection.state(runs), "mean": np.nan, "low": np.nan, "high": np.nan}
        if row["state"] == "ok" and values.empty:
            row["state"] = "not_measured"
        if len(values):
            estimate = geometric_mean_interval(list(values), confidence)
            row["mean"] = estimate.mean
            if estimate.low is not None:
                row |= {"low": estimate.low, "high": estimate.high}
        rows.append(row)
    return pd.DataFrame(rows)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places near the `wanted` ones and in their order, but at least `gap` apart, for labels."""
    order = np.argsort(wanted, kind="stable")
    groups: list[list[float]] = []  # of neighbours that touch: [wanted places, lowest to highest]
    for place in np.asarray(wanted, float)[order]:
        groups.append([place])
        while len(groups) > 1 and _places(groups[-1], gap)[0] - _places(groups[-2], gap)[-1] < gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    placed = np.empty(len(order))
    placed[order] = [place for group in groups for place in _places(group, gap)]
    return placed.tolist()


def _places(group: Sequence[float], gap: float) -> np.ndarray:
    """Places `gap` apart, centred on the mean of the group's wanted ones."""
    return np.mean(group) + gap * (np.arange(len(group)) - (len(group) - 1) / 2)


def draw(
    measurements: pd.DataFrame,
    confidence: float,
    quantity: Quantity,
    *,
    language: Language,
    labels: Mapping[str, str],
    notes: Sequence[str] = (),
    published: pd.DataFrame | None = None,
) -> Figure:
    """One panel per device, workload, input, track and precision; `labels` names the frameworks.

    `published` is literature.csv, whose speeds stand as stars in the panel of the runs that they are beside.
    """
    cell_rows = summary(measurements, confidence, quantity.column)
    stars = NO_STARS if published is None else in_panels(published)
    styles = drawing.framework_styles(measurements["framework"])
    panels = list(cell_rows.groupby(selection.PANEL))
    sizes = [
        2.9 if rows["batch_size"].nunique() > 1 else 1.1 + 0.28 * rows["framework"].nunique() for _, rows in panels
    ]
    figure = drawing.new_figure(
        body_in=sum(sizes),
        title=language[f"title_{quantity.name}"],
        footer="\n".join(
            [
                *notes,
                language["note_runs"],
                *notes_on_published(stars, language=language, labels=labels),
                language["whiskers"].format(confidence=100 * confidence),
                drawing.provenance(measurements, language, labels),
            ]
        ),
    )
    several_devices = measurements["device"].nunique() > 1
    all_axes = figure.subplots(len(panels), squeeze=False, height_ratios=sizes)[:, 0]
    for axes, (key, rows) in zip(all_axes, panels, strict=True):
        block = dict(zip(selection.PANEL, key, strict=True))
        of_block = (measurements[selection.PANEL] == pd.Series(block)).all(axis=1)
        runs = measurements[of_block & (measurements["status"] == "ok")].assign(value=measurements[quantity.column])
        beside = stars[(stars[selection.PANEL] == pd.Series(block)).all(axis=1)]
        if rows["batch_size"].nunique() > 1:
            axes.set_title(drawing.panel_title(block, language, several_devices))
            _over_batch_sizes(axes, rows, runs, beside, styles, language=language, labels=labels)
            axes.set_ylabel(language[f"axis_{quantity.name}"])
        else:
            block["batch_size"] = rows["batch_size"].iloc[0]
            axes.set_title(drawing.panel_title(block, language, several_devices))
            names = [labels[framework] for framework in rows["framework"]]
            one_batch_size(axes, rows, runs, language, names, stars=beside)
            axes.set_xlabel(language[f"axis_{quantity.name}"])
    return figure


def in_panels(published: pd.DataFrame) -> pd.DataFrame:
    """The rows of literature.csv that are beside runs of ours, each with the workload of its panel and its `value`."""
    beside = published.dropna(subset="device")
    return beside.assign(workload=beside["problem"], value=beside["published_images_per_s"])


def notes_on_published(stars: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> list[str]:
    """What the stars are, and where it stands why they are not to be mixed with the measurements; of none, nothing."""
    points = [
        f"{workload} {year}: {', '.join(labels[framework] for framework in sorted(set(rows['framework'])))}"
        for (workload, year), rows in stars.groupby(["workload", "year"])
    ]
    return [language["note_published"].format(points="; ".join(points))] if points else []


def _over_batch_sizes(
    axes: Axes,
    rows: pd.DataFrame,
    runs: pd.DataFrame,
    stars: pd.DataFrame,
    styles: Mapping[str, tuple[str, str]],
    *,
    language: Language,
    labels: Mapping[str, str],
) -> None:
    """Lines over log2 batch size, named at their right ends; failed cells along the bottom."""
    frameworks = sorted(rows["framework"].unique())
    batch_sizes = [int(size) for size in np.unique(rows["batch_size"])]
    top = _beyond(rows, runs, stars)
    ends = {}
    for i, framework in enumerate(frameworks):
        colour, marker = styles[framework]
        beside = 2 ** (0.05 * (i - (len(frameworks) - 1) / 2))  # so that equal points do not hide one another
        cell_rows = rows[rows["framework"] == framework].sort_values("batch_size")
        at = cell_rows["batch_size"] * beside
        own = runs[runs["framework"] == framework]
        axes.plot(own["batch_size"] * beside, own["value"], ".", color=colour, alpha=0.35, markersize=5)
        axes.plot(at, cell_rows["mean"], color=colour, marker=marker, markersize=5, linewidth=1.5)
        axes.vlines(at, cell_rows["low"], cell_rows["high"], color=colour, linewidth=1.5)
        published = stars[stars["framework"] == framework]
        axes.plot(published["published_batch_size"] * beside, published["value"], **STAR, markeredgecolor=colour)
        measured = cell_rows["mean"].dropna()
        if len(measured):
            ends[framework] = measured.iloc[-1]
    for framework, place in zip(ends, spread(list(ends.values()), 0.085 * top), strict=True):
        colour, marker = styles[framework]
        right = axes.get_yaxis_transform()
        axes.plot([1.02], [place], marker=marker, color=colour, markersize=5, transform=right, clip_on=False)
        axes.text(1.035, place, labels[framework], transform=right, va="center", fontsize=8.5)
    # Failed cells stand in a strip of their own under zero.
    failed = rows[rows["state"] != "ok"]
    failed = failed.assign(line=failed.groupby("batch_size").cumcount())
    for cell in failed.to_dict("records"):
        at, height = cell["batch_size"], -0.1 * (cell["line"] + 0.5) * top
        axes.scatter(at, height, marker="x", color=styles[cell["framework"]][0], s=36, linewidths=2)
        last = at == batch_sizes[-1]
        axes.annotate(
            f"{labels[cell['framework']]}: {language['status_' + cell['state']]}",
            (at, height),
            xytext=(-6 if last else 6, 0),
            textcoords="offset points",
            ha="right" if last else "left",
            va="center",
            fontsize=8,
        )
    if len(failed):
        axes.axhline(0, color=drawing.INK, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(batch_sizes, [str(size) for size in batch_sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    places = [*batch_sizes, *stars["published_batch_size"].dropna()]
    axes.set_xlim(min(places) / 1.25, max(places) * 1.25)
    axes.set_yticks([tick for tick in MaxNLocator(5).tick_values(0, top) if tick <= top])
    axes.set_ylim(-0.1 * (failed["line"].max() + 1) * top if len(failed) else 0, top)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_xlabel(language["axis_batch_size"])


def one_batch_size(
    axes: Axes,
    rows: pd.DataFrame,
    runs: pd.DataFrame,
    language: Language,
    names: Sequence[str],
    *,
    stars: pd.DataFrame = NO_STARS,
) -> None:
    """One line per row of a `summary`, under its name, values along the x axis; a failed cell at the left.

    `runs` are the `ok` runs of these cells, with the `value` of each; `stars` those of `in_panels`.
    """
    styles = drawing.framework_styles(rows["framework"])
    for i, cell in enumerate(rows.to_dict("records")):
        colour, marker = styles[cell["framework"]]
        if pd.isna(cell["mean"]):
            axes.plot(
                [0.01],
                [i],
                "x",
                color=colour,
                markersize=6,
                markeredgewidth=2,
                transform=axes.get_yaxis_transform(),
            )
            axes.text(
                0.03,
                i,
                language[f"status_{cell['state']}"],
                va="center",
                fontsize=8,
                transform=axes.get_yaxis_transform(),
            )
            continue
        own = (runs["framework"] == cell["framework"]) & (runs["device"] == cell["device"])
        values = runs.loc[own, "value"]
        axes.plot(values, np.full(len(values), i), ".", color=colour, alpha=0.35, markersize=6)
        axes.hlines(i, cell["low"], cell["high"], color=colour, linewidth=1.5)
        axes.plot([cell["mean"]], [i], marker, color=colour, markersize=6)
        published = stars.loc[stars["framework"] == cell["framework"], "value"]
        axes.plot(published, np.full(len(published), i), **STAR, markeredgecolor=colour)
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, _beyond(rows, runs, stars))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)


def _beyond(rows: pd.DataFrame, runs: pd.DataFrame, stars: pd.DataFrame) -> float:
    """Where an axis ends that has room for every interval, run and star; 1 where there is none."""
    values = [*rows["high"].dropna(), *runs["value"].dropna(), *stars["value"].dropna()]
    return 1.08 * max(values) if values else 1.0
