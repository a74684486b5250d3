"""A quantity of each run over the batch size: every run, and their geometric mean with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn.objects as so
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

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
STAR = so.Path({"zorder": 3}, marker="*", pointsize=11, fillcolor="white", linewidth=0)
RUN, FAILED = so.Dot(alpha=0.35, pointsize=4, edgewidth=0), so.Dot(marker="x", stroke=2)
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
    told = measurements.assign(value=measurements[quantity.column])
    all_axes = figure.subplots(len(panels), squeeze=False, height_ratios=sizes)[:, 0]
    for axes, (key, rows) in zip(all_axes, panels, strict=True):
        block = dict(zip(selection.PANEL, key, strict=True))
        of_block = (measurements[selection.PANEL] == pd.Series(block)).all(axis=1)
        runs = told[of_block & (measurements["status"] == "ok")]
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
    # Beside one another, so that equal points do not hide one another.
    beside = {framework: 2 ** (0.05 * (i - (len(frameworks) - 1) / 2)) for i, framework in enumerate(frameworks)}

    def moved(table: pd.DataFrame, batch_size: str = "batch_size") -> pd.DataFrame:
        return drawing.styled(table, styles).assign(at=table[batch_size] * table["framework"].map(beside))

    cells, published = moved(rows), moved(stars[stars["framework"].isin(frameworks)], "published_batch_size")
    look = {"x": "at", "color": "colour", "group": "framework"}
    axes.set_xscale("log", base=2)
    drawing.paint(axes, moved(runs), (RUN, {}), **look, y="value")
    mean = (so.Path(pointsize=5, linewidth=1.5), {"y": "mean", "marker": "marker"})
    drawing.paint(axes, cells, mean, (drawing.INTERVAL, {"ymin": "low", "ymax": "high", "orient": "x"}), **look)
    drawing.paint(axes, published, (STAR, {}), **look, y="value")
    measured = cells.dropna(subset="mean").groupby("framework")["mean"].last()
    for framework, place in zip(measured.index, spread(list(measured), 0.085 * top), strict=True):
        colour, marker = styles[framework]
        right = axes.get_yaxis_transform()
        axes.plot([1.02], [place], marker=marker, color=colour, markersize=5, transform=right, clip_on=False)
        axes.text(1.035, place, labels[framework], transform=right, va="center", fontsize=8.5)
    # Failed cells stand in a strip of their own under zero.
    failed = rows[rows["state"] != "ok"]
    failed = failed.assign(line=failed.groupby("batch_size").cumcount())
    failed = drawing.styled(failed, styles).assign(
        height=-0.1 * (failed["line"] + 0.5) * top,
        side=["right" if size == batch_sizes[-1] else "left" for size in failed["batch_size"]],
        words=[f"{labels[str(cell.framework)]}: {language[f'status_{cell.state}']}" for cell in failed.itertuples()],
    )
    words = (so.Text(drawing.WORDS, fontsize=8, offset=6), {"text": "words", "halign": "side"})
    drawing.paint(axes, failed, (FAILED, {"color": "colour"}), words, x="batch_size", y="height")
    if len(failed):
        axes.axhline(0, color=drawing.INK, linewidth=0.8)
    axes.set_xticks(batch_sizes, [str(size) for size in batch_sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    places = [*batch_sizes, *stars["published_batch_size"].dropna()]
    axes.set_xlim(min(places) / 1.25, max(places) * 1.25)
    axes.set_yticks([tick for tick in MaxNLocator(5).tick_values(0, top) if tick <= top])
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
    stars: pd.DataFrame = NO_STARS,
) -> None:
    """One line per row of a `summary`, under its name, values along the x axis; a failed cell at the left.

    `runs` are the `ok` runs of these cells, with the `value` of each; `stars` those of `in_panels`.
    """
    beyond = _beyond(rows, runs, stars)
    cells = drawing.styled(rows, rows["framework"]).assign(place=range(len(rows)), left=0.01 * beyond)
    looks = cells[["framework", "device", "place", "colour"]]
    failed = cells[cells["mean"].isna()]
    failed = failed.assign(words=[language[f"status_{state}"] for state in failed["state"]])
    look = {"y": "place", "color": "colour"}
    drawing.paint(axes, runs[["framework", "device", "value"]].merge(looks), (RUN, {}), **look, x="value")
    mean = (so.Dot({"zorder": 3}), {"x": "mean", "marker": "marker"})
    drawing.paint(axes, cells, (drawing.INTERVAL, {"xmin": "low", "xmax": "high", "orient": "y"}), mean, **look)
    drawing.paint(axes, stars[["framework", "device", "value"]].merge(looks), (STAR, {}), **look, x="value")
    words = (so.Text(drawing.WORDS, fontsize=8, halign="left", offset=6), {"text": "words"})
    drawing.paint(axes, failed, (FAILED, {"color": "colour"}), words, x="left", y="place")
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, beyond)
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.grid(axis="x")


def _beyond(rows: pd.DataFrame, runs: pd.DataFrame, stars: pd.DataFrame) -> float:
    """Where an axis ends that has room for every interval, run and star; 1 where there is none."""
    values = [*rows["high"].dropna(), *runs["value"].dropna(), *stars["value"].dropna()]
    return 1.08 * max(values) if values else 1.0
