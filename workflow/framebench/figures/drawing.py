"""What all figures share: colours, fonts that hold every glyph, provenance, files that come out the same."""

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import blended_transform_factory

from framebench.analyse import selection
from framebench.analyse.table import flagged
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
Colour = tuple[float, float, float]
PROBLEMS: Sequence[Colour] = seaborn.color_palette("colorblind")


class GlyphError(ValueError):
    """A character that none of the language's fonts can draw."""


def framework_styles(frameworks: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Framework → (colour, marker), sorted by framework."""
    names = sorted(set(frameworks))
    own = {name: (one.colour, one.marker) for name in catalogue.frameworks() for one in [catalogue.adapter(name)]}
    unlisted = [name for name in names if name not in own]
    styles = own | {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(unlisted)}
    return {name: styles[name] for name in names}


@cache
def _add_fonts() -> None:
    """Make NanumGothic known to matplotlib, from the files of koreanize-matplotlib.

    That package changes global settings when imported, so it is not. Its file for regular comes first, since
    matplotlib takes the other for regular too; the one called bold is a 600 to it, the extra bold 700.
    """
    distribution = importlib.metadata.distribution("koreanize-matplotlib")
    for weight in ("NanumGothic", "NanumGothicExtraBold"):
        font_manager.fontManager.addfont(str(distribution.locate_file(f"koreanize_matplotlib/fonts/{weight}.ttf")))


@contextmanager
def style(language: Language) -> Iterator[None]:
    """Settings under which a figure in `language` must be both drawn and saved."""
    _add_fonts()
    settings: dict[Any, Any] = {
        "font.family": language.fonts,
        "font.size": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9.5,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "figure.constrained_layout.h_pad": 0.08,
        "axes.titlelocation": "left",
        "axes.axisbelow": True,
        "hatch.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        # Names of devices and reasons of failures are data, not formulas.
        "text.parse_math": False,
        "svg.fonttype": "path",
        "svg.hashsalt": "framebench",
    }
    with matplotlib.rc_context(settings):
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
    """`text` broken at separators into lines of that width; those that matplotlib itself wraps stick out."""
    probe = Figure(dpi=DPI).text(0, 0, "", **properties)

    def width(words: str) -> float:
        probe.set_text(words)
        return probe.get_window_extent().width / DPI

    lines = []
    for paragraph in text.split("\n"):
        first, *words = paragraph.split(separator)
        line, taken_in = first, width(first)
        for word in words:
            longer_in = width(separator + word)
            if taken_in + longer_in > width_in:
                lines.append(line)
                line, taken_in = word, width(word)
            else:
                line, taken_in = line + separator + word, taken_in + longer_in
        lines.append(line)
    return "\n".join(lines)


def relative_speed_axes(axes: Axes, frameworks: Sequence[str]) -> None:
    """Make `axes` those of the article's form: room for a group of bars per framework, and a line at 1."""
    axes.axhline(1, color=INK, linewidth=0.8, zorder=0.9)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_xticks(np.arange(len(frameworks)), frameworks)
    axes.set_xlim(-0.55, len(frameworks) - 0.45)
    if len(frameworks) > 4:
        slant(axes)


def slant(axes: Axes) -> None:
    """Names under the axis that need more room than there is between them."""
    axes.tick_params(axis="x", rotation=30)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")


def problem_legend(
    axes: Axes, problems: Iterable[str], language: Language, colours: Iterable[Colour] = PROBLEMS
) -> None:
    """Which colour is which problem, above `axes`."""
    axes.legend(
        handles=problem_handles(problems, colours),
        title=language["legend_problem"],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        alignment="left",
    )


def problem_handles(problems: Iterable[str], colours: Iterable[Colour] = PROBLEMS) -> list[Patch]:
    """What a legend shows of each problem: its colour and its words."""
    return [Patch(color=colour, label=problem) for colour, problem in zip(colours, problems, strict=False)]


def tint(colour: str, opacity: float) -> Colour:
    """What `colour` looks like at `opacity` on white; without grid lines shining through."""
    red, green, blue = (1 - opacity * (1 - part) for part in to_rgb(colour))
    return red, green, blue


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
    """What a legend shows of each framework, sorted: colour, marker and name, with a `line` of these properties."""
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


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write `figure` as SVG (text as paths) and PNG; the same figure gives the same bytes.

    GlyphError as check_glyphs has it.
    """
    check_glyphs(figure)
    # The layout is made by now; the last digits of its solver differ from one drawing to the next.
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position().bounds, 6))
    figure.savefig(svg, metadata={"Date": None})
    figure.savefig(png)


def check_glyphs(figure: Figure) -> None:
    """GlyphError where a text holds a character that none of the fonts that would draw it has."""
    figure.draw_without_rendering()  # makes the tick labels
    for text in figure.findobj(Text):
        characters = _characters(tuple(text.get_fontfamily()), text.get_fontweight())
        for character in text.get_text():
            if character != "\n" and character not in characters:
                fonts = ", ".join(text.get_fontfamily())
                raise GlyphError(
                    f"no glyph for {character!r} (U+{ord(character):04X}) in {fonts}; "
                    f"it stands in the text {text.get_text()!r}"
                )


@cache
def _characters(families: tuple[str, ...], weight: str | int) -> set[str]:
    """All that can be drawn; a glyph that one family lacks is taken from the next."""
    fonts = [FontProperties(family=family, weight=weight) for family in families]
    paths = [font_manager.findfont(font, fallback_to_default=False) for font in fonts]
    return {chr(code) for path in paths for code in FT2Font(path).get_charmap()}
