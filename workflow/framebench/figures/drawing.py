"""Shared by all figures: colours, the theme, rows, provenance, and files that are reproducible to the byte."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import blended_transform_factory

from framebench import files, workloads
from framebench.analyse import selection
from framebench.analyse.table import flagged
from framebench.figures import fonts
from framebench.languages import Language, numbers
from framebench.plan import catalogue
from framebench.record import CELL, STAND_IN

# On a phone of 360 pixels the page shows a figure 328 pixels wide, and this text 9 pixels high.
WIDTH_IN = 5.0
TEXT_PT = 10
DPI = 300
ROW_IN = 0.22
AXIS_IN = 0.42  # the numbers under axes, and the space to the next axes
TITLE_IN = 0.21  # a line of the title above axes
LABEL_IN = 0.26  # the label under the last axis
INK = "#222222"
PALE = "#999999"

# For a framework without an adapter here, as in merged results, or one compared with itself. The adapters name the
# other colours: Okabe and Ito's, which colour-blind readers can distinguish.
OTHERS = [("#000000", "X"), ("#999999", "*"), ("#8C510A", "<"), ("#5E3C99", ">")]

# The article's blue, orange and green, for its own charts only: shades that no framework has, from a scheme of Paul
# Tol's that colour-blind readers can distinguish.
PROBLEMS: Sequence[str] = ("#332288", "#999933", "#117733")
# Hatches distinguish problems where colours are frameworks.
HATCHES: Sequence[str] = ("", "////", "....", "xxxx")
COLUMN_SPACING = 1.2  # of a legend, in heights of its text

# A line ends where its interval ends, not half its width later.
# Words may extend beyond the axes; the layout makes room for them.
WORDS: dict[str, Any] = {"clip_on": False}
# Figures are laid out in this font as far as possible, and drawn in the language's own: a reader's system may have
# others.
WIDEST = "DejaVu Sans"


class Captioned(Figure):
    """A figure, and the text under it: one paragraph a line."""

    caption: str = ""


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
    import seaborn  # noqa: PLC0415

    fonts.make_known(language)
    settings: dict[Any, Any] = seaborn.axes_style("ticks") | seaborn.plotting_context("paper")
    settings |= {
        name: TEXT_PT for name in settings if name.endswith(("font.size", "labelsize", "titlesize", "fontsize"))
    }
    settings |= {
        "font.family": sorted(language.fonts, key=lambda font: font != WIDEST),
        "lines.markersize": 5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "figure.constrained_layout.h_pad": 0.08,
        "grid.color": "#E5E5E5",
        "hatch.linewidth": 0.8,
        "legend.frameon": False,
        # Names of devices and reasons of failures are data, not formulas.
        "text.parse_math": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "framebench",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # Warned of one by one during the layout; `save` reports all of them together.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def new_figure(body_in: float, title: str, footer: str, caption: Iterable[str] = ()) -> Captioned:
    """An empty figure, `WIDTH_IN` wide, with `body_in` of height between its title and its two lines of `footer`.

    A longer footer is shortened, and is complete at the end of the caption.
    """
    figure = Captioned(figsize=(WIDTH_IN, body_in), dpi=DPI, layout="constrained")
    large: dict[str, Any] = {"fontsize": 12, "fontweight": "bold"}
    small: dict[str, Any] = {"fontsize": TEXT_PT, "color": "#555555", "linespacing": 1.3}
    title, shown = wrapped(title, **large), _two_lines(footer, **small)
    figure.set_size_inches(WIDTH_IN, body_in + 0.24 * len(title.split("\n")) + 0.19 * len(shown.split("\n")))
    figure.suptitle(title, x=0.01, ha="left", **large)
    figure.supxlabel(shown, x=0.01, ha="left", **small)
    figure.caption = "\n".join([*caption, *([footer] if "…" in shown else [])])
    return figure


def _two_lines(footer: str, **properties: Any) -> str:
    """The lines of `footer` in two; a warning, which a blank line separates from the rest, stays whole above them."""
    warning, apart, lines = footer.rpartition("\n\n")
    joined = lines.replace("\n", " · ")
    by_parts = wrapped(joined, separator=" · ", **properties)
    by_words = wrapped(by_parts if by_parts.count("\n") < 2 else joined, 0.94 * WIDTH_IN, **properties).split("\n")
    shown = by_words if len(by_words) < 3 else [by_words[0], f"{by_words[1]} …"]
    return "\n".join([*([wrapped(warning, **properties)] if apart else []), *shown])


def panels(
    sizes_in: Sequence[float],
    title: str,
    footer: str,
    caption: Iterable[str] = (),
    *,
    titles: Sequence[str] = (),
    handles: Sequence[Artist | tuple[Artist, ...]] = (),
    legend_title: str = "",
) -> tuple[Captioned, list[Axes]]:
    """A figure of axes one above the other, of these heights and `titles`, with a legend of `handles` above them."""
    bold: dict[str, Any] = {"fontweight": "bold"}
    titles = [wrapped(wrapped(one, separator=" · ", **bold), **bold) for one in titles] or [""] * len(sizes_in)
    legend = [legend_height_in(handles) + (0.2 if legend_title else 0)] if handles else []
    around = [AXIS_IN + (TITLE_IN * (one.count("\n") + 1) if one else 0) for one in titles]
    figure = new_figure(sum([*sizes_in, *around, *legend, LABEL_IN]), title, footer, caption)
    grid = figure.subplots(len(sizes_in) + len(legend), squeeze=False, height_ratios=[*legend, *sizes_in])
    all_axes = list(grid[:, 0])
    if handles:
        legend_across(figure, all_axes.pop(0), handles, legend_title)
    for axes, one in zip(all_axes, titles, strict=True):
        _head(axes, one)
    return figure, all_axes


def _head(axes: Axes, title: str) -> None:
    """The title of axes; it begins above the names at their left."""
    text = axes.set_title(title, x=0.01)
    text.set_transform(blended_transform_factory(axes.figure.transFigure, text.get_transform()))


def wrapped(text: str, width_in: float = 0.97 * WIDTH_IN, separator: str = " ", **properties: Any) -> str:
    """`text` in lines of that width, broken at separators and where fonts.parts allows; matplotlib's own overflow."""
    width = measure(**properties)
    lines = []
    for paragraph in text.split("\n"):
        words = paragraph.split(separator)
        # Each part with the separator before it.
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


def measure(**properties: Any) -> Callable[[str], float]:
    """A function that gives the width of a text in inches."""
    probe = Figure(dpi=DPI).text(0, 0, "", **properties)

    def width(words: str) -> float:
        probe.set_text(words)
        return probe.get_window_extent().width / DPI

    return width


def styled(rows: pd.DataFrame, frameworks: Iterable[str]) -> pd.DataFrame:
    """`rows` with the `colour` and `marker` that their frameworks have among all `frameworks`."""
    looks = framework_styles(frameworks)
    colour, marker = ([looks[framework][part] for framework in rows["framework"]] for part in (0, 1))
    return rows.assign(colour=colour, marker=marker)


def mark(name: str, *settings: Mapping[str, Any], **look: Any) -> Callable[[], Any]:
    """A mark, or a move, of seaborn.objects with these arguments, made when it is drawn.

    Snakemake imports every figure at each start, and importing seaborn would take a third of the time.
    """

    def made() -> Any:
        import seaborn.objects as so  # noqa: PLC0415

        return getattr(so, name)(*settings, **look)

    return made


# The whiskers of an interval.
INTERVAL = mark("Range", {"capstyle": "butt"}, linewidth=1.5)


def paint(axes: Axes, rows: pd.DataFrame, *layers: tuple, **variables: str) -> None:
    """Draw `rows` on `axes` with seaborn in the theme, with looks taken from their columns and no estimation.

    A layer is a `mark`, moves, and the arguments that are its own; `variables` are those that the layers share.
    """
    if rows.empty:
        return
    import seaborn.objects as so  # noqa: PLC0415

    plot = so.Plot(rows, **variables)
    for *how, own in layers:
        plot = plot.add(*(made() for made in how), legend=False, **own)
    scales: dict[str, Any] = dict.fromkeys(["color", "edgecolor", "halign"])
    if "marker" in rows:
        scales["marker"] = so.Nominal({marker: marker for marker in rows["marker"].unique()})
    said = {"x": axes.get_xlabel(), "y": axes.get_ylabel(), "title": axes.get_title("left")}
    logarithmic = {f"{axis}scale": "log" for axis in "xy" if getattr(axes, f"get_{axis}scale")() == "log"}
    theme = {name: matplotlib.rcParams[name] for name in so.Plot.config.theme}
    with warnings.catch_warnings():
        # seaborn 0.13.2 passes an argument that pandas 3 ignores with a warning.
        warnings.filterwarnings("ignore", "The copy keyword is deprecated", DeprecationWarning)
        plot.on(axes).theme(theme).scale(**scales).label(**said).plot()
    axes.set(**logarithmic)
    _head(axes, axes.get_title("left"))  # seaborn made new ones


def relative_speeds(axes: Axes, bars: pd.DataFrame, *, written: bool = False) -> None:
    """Bars of the article's form, with intervals and a line at 1; if `written`, with the ratio above each.

    `bars` has the columns at (place), width, ratio, ci_low, ci_high, colour, hatch, hollow, and gap (words in the place
    of a bar).
    """
    for bar in bars.to_dict("records"):
        look = {"facecolor": bar["colour"], "edgecolor": "white", "hatch": bar["hatch"], "linewidth": 0}
        if bar["hollow"]:
            look |= {"facecolor": "none", "edgecolor": bar["colour"], "linewidth": 1}
        axes.bar([bar["at"]], [bar["ratio"]], bar["width"], **look)
        if bar["gap"]:
            axes.text(bar["at"], 0.02, bar["gap"], rotation=90, ha="center", va="bottom")
        elif written and pd.notna(bar["ratio"]):
            said = numbers.ratio(bar["ratio"]) if bar["ratio"] != 1 else "1"
            top = np.nanmax([bar["ratio"], bar["ci_high"]])
            axes.annotate(said, (bar["at"], top), (0, 2), textcoords="offset points", ha="center", va="bottom")
    known = bars.dropna(subset="ci_low")
    reach = [known["ratio"] - known["ci_low"], known["ci_high"] - known["ratio"]]
    axes.errorbar(known["at"], known["ratio"], reach, fmt="none", color=INK, elinewidth=1, capsize=2.5)
    axes.axhline(1, color=INK, linewidth=0.8, zorder=0.9)
    axes.grid(axis="y")
    axes.set_axisbelow(True)


def grouped(bars: pd.DataFrame, by: str, within: str) -> pd.DataFrame:
    """`bars` with the place and width of each: a group for each of `by`, with a bar for each of `within`, in order."""
    inside = list(bars[within].unique())
    width = 0.84 / len(inside)
    place = bars[within].map(inside.index) - (len(inside) - 1) / 2
    group = bars[by].map(list(bars[by].unique()).index)
    return bars.assign(at=group + width * place, width=0.95 * width)


def places(headings: Sequence[str]) -> np.ndarray:
    """Places of rows with these headings, counted in rows from the top: a heading is above the rows that share it."""
    new = [bool(heading) and heading != before for heading, before in zip(headings, ["", *headings], strict=False)]
    return np.arange(len(headings)) + 1.1 * np.cumsum(new)


def rows_in(at: Iterable[float]) -> float:
    """Height in inches of rows at these places."""
    return ROW_IN * (max(at, default=0) + 1.2)


def name_rows(
    axes: Axes,
    at: Sequence[float] | np.ndarray | pd.Series,
    names: Iterable[str],
    words: Iterable[str] = (),
    headings: Sequence[str] = (),
) -> None:
    """Write `names` left of rows, `words` right of them, and bold `headings` above rows that share one."""
    heights = list(at)
    axes.set_yticks(heights, list(names))
    axes.set_ylim(max(heights, default=0) + 0.6, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    if said := list(words):
        right = axes.secondary_yaxis("right")
        right.set_yticks(heights, said)
        right.tick_params(axis="y", length=0)
        right.spines["right"].set_visible(False)
    across = blended_transform_factory(axes.figure.transFigure, axes.transData)
    for height, heading, before in zip(heights, headings, ["", *headings], strict=False):
        if heading and heading != before:
            text = axes.text(0.01, height - 1, heading, transform=across, va="center", fontweight="bold")
            text.set_in_layout(False)


def bars_of_parts(axes: Axes, cells: pd.DataFrame, parts: Mapping[str, tuple[str, float]]) -> None:
    """A bar per row of `cells` at its `place`, with the lengths in the columns `parts` in tints of its `colour`.

    Its `name` is at its left, its `words` at its right. `parts`: column → text of the legend, opacity.
    """
    lengths = cells.melt(["place", "colour"], list(parts), "part", "length")
    tints = [tint(colour, parts[part][1]) for colour, part in zip(lengths["colour"], lengths["part"], strict=True)]
    stack = (mark("Bar", alpha=1, edgewidth=0), mark("Stack"), {"orient": "y"})
    paint(axes, lengths.assign(tint=tints), stack, x="length", y="place", color="tint")
    name_rows(axes, cells["place"], cells["name"], cells["words"], list(cells["heading"]) if "heading" in cells else [])


def part_handles(
    parts: Mapping[str, tuple[str, float]], frameworks: Iterable[str], language: Language
) -> list[tuple[Artist, ...]]:
    """Legend handles of the parts of `bars_of_parts`, each in the tints that it has in the bars."""
    colours = [colour for colour, _ in framework_styles(frameworks).values()]
    return [
        tuple(Patch(color=tint(colour, opacity), label=language[text]) for colour in colours)
        for text, opacity in parts.values()
    ]


def nothing(axes: Axes, words: str) -> None:
    """Write these words in the place of a chart without data."""
    axes.set_axis_off()
    axes.text(0, 0.5, words, transform=axes.transAxes, va="center")


def slant(axes: Axes) -> None:
    """Turn the names under an axis if they need more room than there is."""
    axes.tick_params(axis="x", rotation=40)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")


def tint(colour: str, opacity: float) -> str:
    """The opaque colour that equals `colour` at `opacity` on white: no grid lines shine through."""
    red, green, blue = (1 - opacity * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def legend_height_in(handles: Sequence[Artist | tuple[Artist, ...]]) -> float:
    """Height in inches of `legend_across` without a title."""
    return 0.1 + 0.2 * ceil(len(handles) / _columns(handles))


def legend_across(figure: Figure, axes: Axes, handles: Sequence[Artist | tuple[Artist, ...]], title: str = "") -> None:
    """A legend over the width of `figure`, in `axes` of that height that only reserve its place."""
    axes.set_axis_off()
    axes.legend(
        handles=list(handles),
        labels=_labels(handles),
        title=title or None,
        alignment="left",
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
        loc="center left",
        bbox_to_anchor=(0.01, 0.5),
        bbox_transform=blended_transform_factory(figure.transFigure, axes.transAxes),
        ncols=_columns(handles),
        borderpad=0,
        borderaxespad=0,
        columnspacing=COLUMN_SPACING,
    ).set_in_layout(False)  # wider than the axes


def _labels(handles: Sequence[Artist | tuple[Artist, ...]]) -> list[str]:
    return [str((one[0] if isinstance(one, tuple) else one).get_label()) for one in handles]


def _columns(handles: Sequence[Artist | tuple[Artist, ...]]) -> int:
    """The most columns that fit the width of a figure, filled one after the other."""
    width = measure(fontsize=TEXT_PT)
    widths = [width(label) + TEXT_PT / 72 * (2.8 + COLUMN_SPACING) for label in _labels(handles)]
    fitting = (
        columns
        for columns in range(len(widths), 1, -1)
        if sum(column.max() for column in np.array_split(widths, columns)) < WIDTH_IN
    )
    return next(fitting, 1)


def framework_handles(frameworks: Iterable[str], labels: Mapping[str, str], **line: Any) -> list[Line2D]:
    """Legend handles of the frameworks, sorted: colour, marker and name, with a `line` of these properties."""
    return [
        Line2D([], [], color=colour, marker=marker, markersize=5, label=labels[framework], **line)
        for framework, (colour, marker) in framework_styles(frameworks).items()
    ]


def panel_title(block: Mapping[Any, Any], language: Language, several_devices: bool) -> str:
    """Title of a panel: the workload, its batch size, and the rest of the block where it is not the usual."""
    words = [language.workload(str(block["workload"]))]
    if "batch_size" in block:
        words.append(language["batch"].format(batch_size=block["batch_size"]))
    words += _unusual(block, language, several_devices)
    return " · ".join(words)


def row_title(block: Mapping[Any, Any], language: Language, several_devices: bool) -> str:
    """A short title for a line of a figure, with the name of the workload."""
    words = [str(block["workload"]), language["batch"].format(batch_size=block["batch_size"])]
    return wrapped(", ".join(words + _unusual(block, language, several_devices)), 0.4 * WIDTH_IN, ", ")


def _unusual(block: Mapping[Any, Any], language: Language, several_devices: bool) -> list[str]:
    words = []
    if block["input"] == "host":
        words.append(language["input_host_short"])
    if pd.notna(block["track"]) and block["track"] != "default":
        words.append(language[f"track_{block['track']}"])
    if block["precision"] != "float32":
        words.append(block["precision"])
    return words + ([block["device"]] if several_devices else [])


def samples(names: Iterable[str], language: Language) -> str:
    """The word for one sample of these workloads: images, reviews, or samples if they differ or are a user's own."""
    data = {workloads.load(name).data.removeprefix("large-") for name in names}
    kind = data.pop() if len(data) == 1 else ""
    return language[f"samples_{kind if kind in ('images', 'reviews') else 'any'}"]


def on_gpus(measurements: pd.DataFrame) -> pd.DataFrame:
    """The measurements made on GPUs; ValueError if there is none."""
    found = measurements[measurements["device_uuid"].notna()]
    if found.empty:
        raise ValueError("this figure shows GPUs, and none was measured")
    return found


def check_measured(measurements: pd.DataFrame, **wanted: str) -> None:
    """Raise ValueError if nothing was measured with one of the `wanted` values, by their columns."""
    for column, value in wanted.items():
        measured = sorted(measurements[column].unique())
        if value not in measured:
            raise ValueError(f"no measurements of {column} '{value}'; there is: {', '.join(measured)}")


def confidence_of(comparisons: pd.DataFrame) -> float:
    """Level of the intervals in the comparisons; 0.95 if nothing is compared."""
    levels = comparisons["confidence"].dropna()
    return float(levels.iloc[0]) if len(levels) else 0.95


def provenance(measurements: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> str:
    """Devices and threads, UTC dates and rounds, and versions behind `measurements`, one line each.

    Everything comes from the records; a missing value is left out, or "?" inside a line. Searches have no rounds. If a
    run used the tests' stand-in instead of a GPU, a warning and a blank line come first.
    """
    lines = []
    for device, rows in measurements.groupby("device"):
        threads = ", ".join(f"{threads:.0f}" for threads in sorted(rows["threads"].dropna().unique()))
        name = selection.device_name(measurements, str(device))
        lines.append(language["footer_device"].format(device=name, threads=threads or "?"))
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
    versions = measurements[["framework", "framework_version"]].dropna().sort_values("framework")
    # Every Keras is one package, whatever its backend; a name and its version stay in one line.
    packages = (
        f"{labels[name].partition(' (')[0]}\N{NO-BREAK SPACE}{version}" for name, version in versions.to_numpy()
    )
    lines.append(", ".join(dict.fromkeys(packages)))
    warning = f"{language['stand_in']}\n\n" if flagged(measurements, STAND_IN).any() else ""
    return warning + "\n".join(line for line in lines if line)


def _rounds(measurements: pd.DataFrame) -> str:
    """The number of rounds of the cells: `5`, or `4–5` where they differ."""
    counts = measurements.groupby(CELL)["round"].nunique()
    return f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()}–{counts.max()}"


def save(figure: Figure, svg: Path, png: Path, caption: Path, language: Language) -> None:
    """Write `figure` as SVG (text as text) and PNG, and its caption; the same figure gives the same bytes.

    Raises FontError if a font lacks a glyph that the language needs.
    """
    fonts.replace_glyphs(figure, language)
    # The layout is finished; the last digits of its solver differ from one drawing to the next.
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position().bounds, 6))
    for text in figure.findobj(Text):
        text.set_fontfamily(language.fonts)
    with files.whole(png, "wb") as file:
        figure.savefig(file, format="png")
    vectors = StringIO()
    figure.savefig(vectors, format="svg", metadata={"Date": None})
    families = ", ".join(f"'{font}'" for font in language.fonts)
    with files.whole(svg, encoding="utf-8") as file:
        file.write(vectors.getvalue().replace(families, f"{families}, sans-serif"))
    with files.whole(caption, encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in getattr(figure, "caption", "").splitlines())
