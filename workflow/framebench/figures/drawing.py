"""What all figures share: colours, the theme, provenance, files that come out the same."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn
import seaborn.objects as so
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import blended_transform_factory

from framebench.analyse import selection
from framebench.analyse.table import flagged
from framebench.figures import fonts
from framebench.languages import Language
from framebench.plan import catalogue
from framebench.record import CELL, STAND_IN

WIDTH_IN = 7.0
DPI = 200
SMALL_PT = 7.5
INK = "#222222"
PALE = "#999999"
LEGEND_COLUMNS = 4

# For a framework that is not here, as in merged results, or is compared with itself; the others' adapters say theirs,
# Okabe and Ito's colours, which colour-blind readers tell apart.
OTHERS = [("#000000", "X"), ("#999999", "*"), ("#8C510A", "<"), ("#5E3C99", ">")]

# The article's blue, orange and green in shades that colour-blind readers tell apart; then others.
PROBLEMS: Sequence[str] = seaborn.color_palette("colorblind").as_hex()

# A line ends where its interval does, not half its width later.
INTERVAL = so.Range({"capstyle": "butt"}, linewidth=1.5)
# Words may reach beyond the axes, and the layout makes room for them.
WORDS: dict[str, Any] = {"clip_on": False}


def framework_styles(frameworks: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Framework → (colour, marker), sorted by framework."""
    names = sorted(set(frameworks))
    own = {name: (one.colour, one.marker) for name in catalogue.frameworks() for one in [catalogue.adapter(name)]}
    unlisted = [name for name in names if name not in own]
    styles = own | {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(unlisted)}
    return {name: styles[name] for name in names}


@contextmanager
def style(language: Language) -> Iterator[None]:
    """The theme: settings under which a figure in `language` must be both drawn and saved."""
    fonts.make_known(language)
    settings: dict[Any, Any] = seaborn.axes_style("ticks") | seaborn.plotting_context("paper", font_scale=0.97)
    settings |= {
        "font.family": language.fonts,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "figure.constrained_layout.h_pad": 0.08,
        "grid.color": "#E5E5E5",
        "hatch.linewidth": 0.6,
        "legend.frameon": False,
        # Names of devices and reasons of failures are data, not formulas.
        "text.parse_math": False,
        "svg.fonttype": "path",
        "svg.hashsalt": "framebench",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # One by one while a figure is laid out; `save` says it of all.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def new_figure(body_in: float, title: str, footer: str) -> Figure:
    """An empty figure, `WIDTH_IN` wide, with `body_in` of height between title and small print."""
    figure = Figure(figsize=(WIDTH_IN, body_in), dpi=DPI, layout="constrained")
    large: dict[str, Any] = {"fontsize": 11.5, "fontweight": "bold"}
    small: dict[str, Any] = {"fontsize": SMALL_PT, "color": "#555555", "linespacing": 1.4}
    title, footer = wrapped(title, **large), wrapped(footer, **small)
    figure.set_size_inches(WIDTH_IN, body_in + 0.25 * len(title.split("\n")) + 0.15 * len(footer.split("\n")))
    figure.suptitle(title, x=0.01, ha="left", **large)
    figure.supxlabel(footer, x=0.01, ha="left", **small)
    return figure


def wrapped(text: str, width_in: float = 0.97 * WIDTH_IN, separator: str = " ", **properties: Any) -> str:
    """`text` broken into lines of that width, at separators and where fonts.parts tells; matplotlib's own stick out."""
    probe = Figure(dpi=DPI).text(0, 0, "", **properties)

    def width(words: str) -> float:
        probe.set_text(words)
        return probe.get_window_extent().width / DPI

    lines = []
    for paragraph in text.split("\n"):
        words = paragraph.split(separator)
        # Each with what stands between it and the one before.
        pieces = [("" if i else separator, part) for word in words for i, part in enumerate(fonts.parts(word))]
        (_, line), *others = pieces
        taken_in = width(line)
        for between, piece in others:
            longer_in = width(between + piece)
            if taken_in + longer_in > width_in:
                lines.append(line)
                line, taken_in = piece, width(piece)
            else:
                line, taken_in = line + between + piece, taken_in + longer_in
        lines.append(line)
    return "\n".join(lines)


def styled(rows: pd.DataFrame, frameworks: Iterable[str]) -> pd.DataFrame:
    """`rows` with the `colour` and `marker` that their frameworks have among all `frameworks`."""
    looks = framework_styles(frameworks)
    colour, marker = ([looks[framework][part] for framework in rows["framework"]] for part in (0, 1))
    return rows.assign(colour=colour, marker=marker)


def paint(axes: Axes, rows: pd.DataFrame, *layers: tuple, **variables: str) -> None:
    """Let seaborn draw `rows` on `axes` in the theme, of looks as their columns have them, and estimate nothing.

    A layer is a mark, moves, and the arguments that are its own; `variables` are those that the layers share.
    """
    if rows.empty:
        return
    plot = so.Plot(rows, **variables)
    for *how, own in layers:
        plot = plot.add(*how, legend=False, **own)
    scales: dict[str, Any] = dict.fromkeys(["color", "edgecolor", "halign"])
    if "marker" in rows:
        scales["marker"] = so.Nominal({marker: marker for marker in rows["marker"].unique()})
    said = {"x": axes.get_xlabel(), "y": axes.get_ylabel(), "title": axes.get_title("left")}
    logarithmic = {f"{axis}scale": "log" for axis in "xy" if getattr(axes, f"get_{axis}scale")() == "log"}
    theme = {name: matplotlib.rcParams[name] for name in so.Plot.config.theme}
    with warnings.catch_warnings():
        # seaborn 0.13.2 passes an argument that pandas 3 ignores and warns of.
        warnings.filterwarnings("ignore", "The copy keyword is deprecated", DeprecationWarning)
        plot.on(axes).theme(theme).scale(**scales).label(**said).plot()
    axes.set(**logarithmic)


def relative_speeds(axes: Axes, bars: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Bars in the article's form: a group per framework, in it a bar for each of `colours`, and a line at 1.

    `bars` has framework (its name), workload (a key of `colours`), ratio, ci_low, ci_high, hatched, and gap: words in
    the place of a bar.
    """
    # Every workload keeps its place in a group, also where a layer has no bar of it.
    colour = pd.Categorical(bars["workload"].map(colours), list(colours.values()))
    bars = bars.assign(colour=colour, foot=0.0)
    side = so.Dodge(by=["color"], gap=0.05)
    paint(
        axes,
        bars,
        (so.Bar(alpha=1, edgewidth=0), side, {"data": bars[~bars["hatched"]]}),
        (so.Bar({"hatch": "///"}, fill=False, edgewidth=1), side, {"data": bars[bars["hatched"]]}),
        (so.Range({"capstyle": "butt"}, color=INK), side, {"ymin": "ci_low", "ymax": "ci_high"}),
        *((so.Dot(marker="_", color=INK, stroke=1.2), side, {"y": end}) for end in ("ci_low", "ci_high")),
        (so.Text(WORDS | {"rotation": 90}, color=INK, valign="bottom", fontsize=8), side, {"y": "foot", "text": "gap"}),
        x="framework",
        y="ratio",
        color="colour",
    )
    axes.axhline(1, color=INK, linewidth=0.8, zorder=0.9)
    axes.grid(axis="y")
    if bars["framework"].nunique() > 4:
        slant(axes)


def bars_of_parts(axes: Axes, cells: pd.DataFrame, parts: Mapping[str, tuple[str, float]]) -> None:
    """A bar per row of `cells` at its `place`, of the lengths in the columns `parts` and in tints of its `colour`.

    At the `end` of each stand its `words`, at its left its `name`. `parts`: column → text of the legend, opacity.
    """
    lengths = cells.melt(["place", "colour"], list(parts), "part", "length")
    tints = [tint(colour, parts[part][1]) for colour, part in zip(lengths["colour"], lengths["part"], strict=True)]
    bar, text = so.Bar(alpha=1, edgewidth=0), so.Text(WORDS, halign="left", fontsize=8)
    stack = (bar, so.Stack(), {"orient": "y"})
    paint(axes, lengths.assign(tint=tints), stack, x="length", y="place", color="tint")
    paint(axes, cells, (text, {"text": "words"}), x="end", y="place")
    name_rows(axes, cells["place"], cells["name"])


def name_rows(axes: Axes, places: Iterable[float], names: Iterable[str]) -> None:
    """`names` at the left of the rows of `axes`, top down, and grid lines across them."""
    heights = list(places)
    axes.set_yticks(heights, list(names), fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(heights) + 0.6, -0.6)
    axes.grid(axis="x")


def part_handles(parts: Mapping[str, tuple[str, float]], language: Language) -> list[Patch]:
    """Legend handles of the parts of `bars_of_parts`."""
    return [Patch(color=tint(INK, opacity), label=language[text]) for text, opacity in parts.values()]


def slant(axes: Axes) -> None:
    """Names under the axis that need more room than there is between them."""
    axes.tick_params(axis="x", rotation=30)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")


def problem_legend(axes: Axes, problems: Iterable[str], language: Language, colours: Iterable[str] = PROBLEMS) -> None:
    """Which colour is which problem, above `axes`."""
    axes.legend(
        handles=problem_handles(problems, colours),
        title=language["legend_problem"],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        alignment="left",
    )


def problem_handles(problems: Iterable[str], colours: Iterable[str] = PROBLEMS) -> list[Patch]:
    """Legend handles of the problems: the colour and the words of each."""
    return [Patch(color=colour, label=problem) for colour, problem in zip(colours, problems, strict=False)]


def tint(colour: str, opacity: float) -> str:
    """What `colour` looks like at `opacity` on white; without grid lines shining through."""
    red, green, blue = (1 - opacity * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def legend_height_in(handles: Sequence[Artist], columns: int = LEGEND_COLUMNS) -> float:
    """Inches that `legend_across` needs."""
    return 0.1 + 0.2 * ceil(len(handles) / columns)


def legend_across(figure: Figure, axes: Axes, handles: Sequence[Artist], columns: int = LEGEND_COLUMNS) -> None:
    """A legend over the width of `figure`, in `axes` of that height that only keep its place."""
    axes.set_axis_off()
    axes.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(0.01, 0.5),
        bbox_transform=blended_transform_factory(figure.transFigure, axes.transAxes),
        ncols=min(columns, len(handles)),
        borderpad=0,
    ).set_in_layout(False)  # wider than the axes


def framework_handles(frameworks: Iterable[str], labels: Mapping[str, str], **line: Any) -> list[Line2D]:
    """Legend handles of the frameworks, sorted: colour, marker and name, with a `line` of these properties."""
    return [
        Line2D([], [], color=colour, marker=marker, markersize=5, label=labels[framework], **line)
        for framework, (colour, marker) in framework_styles(frameworks).items()
    ]


def panel_title(block: Mapping[Any, Any], language: Language, several_devices: bool) -> str:
    """What a panel is about: workload and input, and where they are not the usual, the rest of the block.

    In two lines where one would stick out of the figure.
    """
    words = [language.workload(str(block["workload"])), language[f"input_{block['input']}"]]
    words += _unusual(block, language, several_devices)
    if "batch_size" in block:
        words.append(language["batch"].format(batch_size=block["batch_size"]))
    return wrapped(" · ".join(words), 0.78 * WIDTH_IN, " · ")


def row_title(block: Mapping[Any, Any], language: Language, several_devices: bool) -> str:
    """The same in a few words and with the batch size, for a line of a figure; without the input where it is null."""
    words = [str(block["workload"]), language["batch"].format(batch_size=block["batch_size"])]
    if pd.notna(block["input"]):
        words.append(language[f"input_{block['input']}_short"])
    return ", ".join(words + _unusual(block, language, several_devices))


def _unusual(block: Mapping[Any, Any], language: Language, several_devices: bool) -> list[str]:
    words = []
    if pd.notna(block["track"]) and block["track"] != "default":
        words.append(language[f"track_{block['track']}"])
    if block["precision"] != "float32":
        words.append(block["precision"])
    return words + ([block["device"]] if several_devices else [])


def on_gpus(measurements: pd.DataFrame) -> pd.DataFrame:
    """The measurements that were made on GPUs; ValueError where there is none."""
    found = measurements[measurements["device_uuid"].notna()]
    if found.empty:
        raise ValueError("this figure shows GPUs, and none was measured")
    return found


def check_measured(measurements: pd.DataFrame, **wanted: str) -> None:
    """ValueError where nothing was measured with one of the `wanted` values, by their columns."""
    for column, value in wanted.items():
        measured = sorted(measurements[column].unique())
        if value not in measured:
            raise ValueError(f"no measurements of {column} '{value}'; there is: {', '.join(measured)}")


def confidence_of(comparisons: pd.DataFrame) -> float:
    """Level of the intervals, as the comparisons have it; 0.95 where there is nothing to compare."""
    levels = comparisons["confidence"].dropna()
    return float(levels.iloc[0]) if len(levels) else 0.95


def provenance(measurements: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> str:
    """Devices, threads, versions, UTC dates and rounds behind `measurements`, one line each.

    All from the records; what they do not say is left out, or "?" inside a line. Searches have no rounds. Above them
    stands a warning where a run was made without a GPU, on the stand-in of the tests.
    """
    lines = [language["stand_in"]] if flagged(measurements, STAND_IN).any() else []
    for device, rows in measurements.groupby("device"):
        threads = ", ".join(f"{threads:.0f}" for threads in sorted(rows["threads"].dropna().unique()))
        name = selection.device_name(measurements, str(device))
        lines.append(language["footer_device"].format(device=name, threads=threads or "?"))
    versions = measurements[["framework", "framework_version"]].dropna().drop_duplicates().sort_values("framework")
    lines.append(", ".join(f"{labels[framework]} {version}" for framework, version in versions.itertuples(index=False)))
    starts = measurements["started_unix_s"].dropna()
    dates = (
        sorted({f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d}" for start in (starts.min(), starts.max())})
        if len(starts)
        else ["?"]
    )
    if "round" in measurements:
        lines.append(language["footer_measured"].format(date=" / ".join(dates), rounds=_rounds(measurements)))
    else:
        lines.append(language["footer_searched"].format(date=" / ".join(dates)))
    return "\n".join(line for line in lines if line)


def _rounds(measurements: pd.DataFrame) -> str:
    """How many rounds the cells have: `5`, or `4–5` where they differ."""
    counts = measurements.groupby(CELL)["round"].nunique()
    return f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()}–{counts.max()}"


def save(figure: Figure, svg: Path, png: Path, language: Language) -> None:
    """Write `figure` as SVG (text as paths) and PNG; the same figure gives the same bytes.

    FontError where a font lacks a glyph that the language needs.
    """
    fonts.replace_glyphs(figure, language)
    # The layout is made by now; the last digits of its solver differ from one drawing to the next.
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position().bounds, 6))
    figure.savefig(svg, metadata={"Date": None})
    figure.savefig(png)
