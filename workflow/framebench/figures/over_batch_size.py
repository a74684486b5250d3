"""A quantity over the batch size: every run, and the geometric mean of the runs with its interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from framebench.analyse import selection
from framebench.analyse.statistics import geometric_mean_interval
from framebench.figures import drawing
from framebench.languages import Language, numbers


@dataclass(frozen=True)
class Quantity:
    """A column of the measurements, and the name under which the languages have its title, axis and note."""

    column: str
    name: str


THROUGHPUT = Quantity("images_per_s", "throughput")

# Published results: a marker that no measurement has.
STAR = drawing.mark("Path", {"zorder": 3}, marker="*", pointsize=11, fillcolor="white", linewidth=0)
RUN, FAILED = drawing.mark("Dot", alpha=0.35, pointsize=4, edgewidth=0), drawing.mark("Dot", marker="x", stroke=2)
NO_STARS = pd.DataFrame(columns=[*selection.PANEL, "framework", "year", "published_batch_size", "value"])


def summary(measurements: pd.DataFrame, confidence: float, column: str = THROUGHPUT.column) -> pd.DataFrame:
    """One row per cell: its key, its state, and mean, low and high over its `ok` runs, in the unit of `column`.

    The mean is geometric over processes, with its interval at level `confidence`. Low and high are NaN if there are too
    few runs; all three are NaN if no run counts or reports the quantity.
    """
    rows, cell = [], [*selection.PANEL, "framework", "batch_size"]
    for key, runs in measurements.groupby(cell):
        values = runs.loc[runs["status"] == "ok", column].dropna()
        row = dict(zip(cell, key, strict=True))
        row |= {"state": selection.state(runs), "mean": np.nan, "low": np.nan, "high": np.nan}
        if row["state"] == "ok" and values.empty:
            row["state"] = "not_measured"
        if len(values):
            estimate = geometric_mean_interval(list(values), confidence)
            row["mean"] = estimate.mean
            if estimate.low is not None:
                row |= {"low": estimate.low, "high": estimate.high}
        rows.append(row)
    return pd.DataFrame(rows, columns=[*cell, "state", "mean", "low", "high"])


def draw(
    measurements: pd.DataFrame,
    confidence: float,
    quantity: Quantity,
    *,
    language: Language,
    labels: Mapping[str, str],
    published: pd.DataFrame | None = None,
) -> drawing.Captioned:
    """One panel per device, workload, input, track and precision; `labels` names the frameworks.

    `published` is literature.csv; its speeds are stars in the panel of the runs that match them.
    """
    cell_rows = summary(measurements, confidence, quantity.column)
    stars = NO_STARS if published is None else in_panels(published)
    styles = drawing.framework_styles(measurements["framework"])
    panels = list(cell_rows.groupby(selection.PANEL))
    sizes = [
        2.3 if rows["batch_size"].nunique() > 1 else drawing.rows_in(range(len(rows))) + 0.25 for _, rows in panels
    ]
    several_devices = measurements["device"].nunique() > 1
    keys = [[*selection.PANEL, *(["batch_size"] if rows["batch_size"].nunique() == 1 else [])] for _, rows in panels]
    blocks = [rows.iloc[0][key].to_dict() for key, (_, rows) in zip(keys, panels, strict=True)]
    figure, all_axes = drawing.panels(
        sizes,
        language[f"title_{quantity.name}"],
        drawing.provenance(measurements, language, labels),
        [
            language["note_runs"],
            *notes_on_published(stars, language=language, labels=labels),
            language["whiskers"].format(confidence=100 * confidence),
        ],
        titles=[drawing.panel_title(block, language, several_devices) for block in blocks],
        handles=drawing.framework_handles(measurements["framework"], labels, linestyle="none"),
    )
    told = measurements.assign(value=measurements[quantity.column])
    for axes, block, (key, rows) in zip(all_axes, blocks, panels, strict=True):
        of_block = (measurements[selection.PANEL] == pd.Series(key, selection.PANEL)).all(axis=1)
        runs = told[of_block & (measurements["status"] == "ok")]
        beside = stars[(stars[selection.PANEL] == pd.Series(key, selection.PANEL)).all(axis=1)]
        said = language[f"axis_{quantity.name}"].format(samples=drawing.samples([block["workload"]], language))
        if rows["batch_size"].nunique() > 1:
            _over_batch_sizes(axes, rows, runs, beside, styles, language=language, labels=labels)
            axes.set_ylabel(said)
        else:
            one_batch_size(axes, rows, runs, language, [labels[name] for name in rows["framework"]], stars=beside)
            axes.set_xlabel(said)
    return figure


def in_panels(published: pd.DataFrame) -> pd.DataFrame:
    """The rows of literature.csv that match runs of ours, each with the workload of its panel and its `value`."""
    beside = published.dropna(subset="device")
    return beside.assign(workload=beside["problem"], value=beside["published_images_per_s"])


def notes_on_published(stars: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> list[str]:
    """The note on the stars: where their sources are, and why they must not be mixed with measurements; empty without
    stars."""
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
    """Lines over log2 batch size; failed cells along the bottom."""
    frameworks = sorted(rows["framework"].unique())
    batch_sizes = [int(size) for size in np.unique(rows["batch_size"])]
    top = _beyond(rows, runs, stars)
    # Markers are side by side, and each mean next to its runs, so that equal points do not hide one another.
    room = min(np.diff(np.log2(batch_sizes))) * 0.5 / len(frameworks)
    beside = {framework: (i - (len(frameworks) - 1) / 2) * room for i, framework in enumerate(frameworks)}

    def moved(table: pd.DataFrame, batch_size: str = "batch_size", by: float = 0.0) -> pd.DataFrame:
        at = table[batch_size] * 2 ** (table["framework"].map(beside) + by * room)
        return drawing.styled(table, styles).assign(at=at)

    cells, published = moved(rows, by=0.2), moved(stars[stars["framework"].isin(frameworks)], "published_batch_size")
    look = {"x": "at", "color": "colour", "group": "framework"}
    axes.set_xscale("log", base=2)
    drawing.paint(axes, moved(runs, by=-0.2), (RUN, {}), **look, y="value")
    drawing.paint(axes, cells, (drawing.mark("Path", linewidth=1, alpha=0.4), {"y": "mean"}), **look)
    mean = (drawing.mark("Dot", {"zorder": 3}, pointsize=5), {"y": "mean", "marker": "marker"})
    drawing.paint(axes, cells, mean, (drawing.INTERVAL, {"ymin": "low", "ymax": "high", "orient": "x"}), **look)
    drawing.paint(axes, published, (STAR, {}), **look, y="value")
    # Failed cells have a strip of their own below zero.
    failed = rows[rows["state"] != "ok"]
    failed = failed.assign(line=failed.groupby("batch_size").cumcount())
    failed = drawing.styled(failed, styles).assign(
        height=-0.1 * (failed["line"] + 0.5) * top,
        side=["right" if size == batch_sizes[-1] else "left" for size in failed["batch_size"]],
        words=[f"{labels[str(cell.framework)]}: {language[f'status_{cell.state}']}" for cell in failed.itertuples()],
    )
    words = (
        drawing.mark("Text", drawing.WORDS, fontsize=drawing.TEXT_PT, offset=6),
        {"text": "words", "halign": "side"},
    )
    drawing.paint(axes, failed, (FAILED, {"color": "colour"}), words, x="batch_size", y="height")
    if len(failed):
        axes.axhline(0, color=drawing.INK, linewidth=0.8)
    axes.set_xticks(batch_sizes, [str(size) for size in batch_sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    places = [*batch_sizes, *stars["published_batch_size"].dropna()]
    axes.set_xlim(min(places) / 1.5, max(places) * 1.5)
    axes.set_yticks([tick for tick in MaxNLocator(4).tick_values(0, top) if tick <= top])
    axes.set_ylim(-0.1 * (failed["line"].max() + 1) * top if len(failed) else 0, top)
    axes.yaxis.set_major_formatter("{x:,.10g}")
    axes.grid(axis="y")
    axes.set_xlabel(language["axis_batch_size"])


def one_batch_size(
    axes: Axes,
    rows: pd.DataFrame,
    runs: pd.DataFrame,
    language: Language,
    names: Sequence[str],
    *,
    headings: Sequence[str] = (),
    stars: pd.DataFrame = NO_STARS,
    said: Callable[[float], str] = numbers.significant,
) -> None:
    """One line per row of a `summary`, with its name, its mean in words, and values along the x axis.

    `runs` are the `ok` runs of these cells, with the `value` of each; `stars` those of `in_panels`.
    """
    beyond = _beyond(rows, runs, stars)
    at = drawing.places(headings or [""] * len(rows))
    cells = drawing.styled(rows, rows["framework"]).assign(place=at)
    looks = cells[["framework", "device", "place", "colour"]]
    look = {"y": "place", "color": "colour"}
    beside = runs[["framework", "device", "value"]].merge(looks)
    drawing.paint(axes, beside.assign(place=beside["place"] + 0.22), (RUN, {}), **look, x="value")
    mean = (drawing.mark("Dot", {"zorder": 3}), {"x": "mean", "marker": "marker"})
    drawing.paint(axes, cells, (drawing.INTERVAL, {"xmin": "low", "xmax": "high", "orient": "y"}), mean, **look)
    drawing.paint(axes, stars[["framework", "device", "value"]].merge(looks), (STAR, {}), **look, x="value")
    words = [
        language[f"status_{state}"] if pd.isna(mean) else said(mean)
        for state, mean in zip(rows["state"], rows["mean"], strict=True)
    ]
    drawing.name_rows(axes, at, names, words, headings)
    axes.set_xlim(0, beyond)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter("{x:,.10g}")


def _beyond(rows: pd.DataFrame, runs: pd.DataFrame, stars: pd.DataFrame) -> float:
    """Upper end of an axis with room for every interval, run and star; 1 if there is none."""
    values = [*rows["high"].dropna(), *runs["value"].dropna(), *stars["value"].dropna()]
    return 1.08 * max(values) if values else 1.0
