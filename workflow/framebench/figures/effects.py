"""What settings and input change within one framework: tuned ÷ default, and host ÷ device."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from framebench.analyse import selection
from framebench.analyse.payback import AFTER, AT_ONCE, NEVER
from framebench.answer import gains
from framebench.figures import drawing, forest, registry
from framebench.languages import Language
from framebench.record import BLOCK

# Effects as effects.csv names them, in the order drawn → the text that heads their panel.
EFFECTS = {gains.TUNED: "effect_tuned", "host ÷ device": "effect_host"}

# Verdicts of payback.csv → what is said of them.
PAYBACKS = {AFTER: "payback_after", AT_ONCE: "payback_at_once", NEVER: "payback_never"}


def reasons(
    measurements: pd.DataFrame,
    effects: pd.DataFrame,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> list[str]:
    """Why each framework gains from tuning, or that no gain is shown, a sentence per device, workload and framework.

    Of the cells at the article's batch size; workloads of which the same is to be said share a sentence.
    """
    both = selection.both_tracks(measurements, article_batch_sizes)
    tuned = effects[effects["effect"] == gains.TUNED]
    workloads: dict[tuple[str, str], list[str]] = {}
    for key, runs in both.groupby(cell := ["device", "framework", "workload", "batch_size"]):
        _, framework, workload, _ = key
        why = gains.explained(runs, language)
        if (
            gains.chosen(runs)
            and not (tuned.loc[(tuned[cell] == pd.Series(key, cell)).all(axis=1), "ci_low"] > 1).any()
        ):
            why = language["why_not_shown"]
        if why:
            workloads.setdefault((str(framework), why), []).append(str(workload))
    return [
        language["why"].format(framework=labels[framework], workload=", ".join(names), why=why)
        for (framework, why), names in workloads.items()
    ]


def paybacks(
    measurements: pd.DataFrame,
    paid: pd.DataFrame,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> list[str]:
    """After how many samples each framework's tuned settings have paid for a longer start, a sentence per cell.

    Of the cells at the article's batch size of which `paid`, payback.csv, tells it; they are not told of again where no
    gain is shown.
    """
    said = []
    shared = [key for key in BLOCK if key != "track"]
    both = selection.both_tracks(measurements, article_batch_sizes)[shared].drop_duplicates()
    for row in both.merge(paid, on=shared).sort_values(["device", "framework", "workload"]).to_dict("records"):
        if row["verdict"] in PAYBACKS:
            said.append(
                language[PAYBACKS[row["verdict"]]].format(
                    framework=labels[row["framework"]],
                    workload=row["workload"],
                    extra=row["extra_s"],
                    images=row["images"],
                    low=row["images_low"],
                    high=row["images_high"],
                )
            )
    return said


def draw(
    measurements: pd.DataFrame,
    effects: pd.DataFrame,
    payback: pd.DataFrame,
    *,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> Figure:
    """One panel per effect, one line per cell; under the tuned ones why each framework gains, and when that pays."""
    rows = _lines(measurements, effects, language, labels)
    panels = [(effect, rows[rows["effect"] == effect]) for effect in EFFECTS if effect in set(rows["effect"])]
    small: dict[str, Any] = {"fontsize": drawing.SMALL_PT, "linespacing": 1.4}
    said = reasons(measurements, effects, article_batch_sizes, language, labels)
    said += paybacks(measurements, payback, article_batch_sizes, language, labels)
    why = drawing.wrapped("\n".join(said), **small)
    sizes = []
    for effect, of_effect in panels:
        sizes.append(forest.height_in(of_effect))
        if effect == gains.TUNED and why:
            sizes.append(0.15 * len(why.split("\n")))
    footer = language["note_effects"].format(confidence=100 * drawing.confidence_of(effects))
    figure = drawing.new_figure(
        body_in=sum(sizes, start=0.3) + len(panels) * (forest.AROUND_IN + 0.1),
        title=language["title_effects"],
        footer=f"{footer}\n{drawing.provenance(measurements, language, labels)}",
    )
    if not panels:
        figure.text(0.01, 0.6, language["status_not_measured"])
        return figure
    all_axes = iter(figure.subplots(len(sizes), squeeze=False, height_ratios=sizes)[:, 0])
    for effect, of_effect in panels:
        axes = next(all_axes)
        forest.draw(axes, of_effect)
        axes.set_title(drawing.wrapped(language[EFFECTS[effect]], 0.66 * drawing.WIDTH_IN), pad=8)
        axes.set_xlabel(language["axis_effects"])
        if effect == gains.TUNED and why:
            below = next(all_axes)
            below.set_axis_off()
            across = blended_transform_factory(figure.transFigure, below.transAxes)
            below.text(0.01, 1, why, transform=across, va="top", **small).set_in_layout(False)
    return figure


def _lines(
    measurements: pd.DataFrame, effects: pd.DataFrame, language: Language, labels: Mapping[str, str]
) -> pd.DataFrame:
    """The effects as lines of a forest plot, framework by framework inside an effect."""
    styles = drawing.framework_styles(effects["framework"])
    several_devices = measurements["device"].nunique() > 1
    lines = []
    for row in effects.sort_values(["effect", "framework", "device", "workload", "batch_size"]).to_dict("records"):
        colour, marker = styles[row["framework"]]
        lines.append(
            row
            | {
                "heading": labels[row["framework"]],
                "label": drawing.row_title(row, language, several_devices),
                "words": forest.in_words(row, language),
                "colour": colour,
                "marker": marker,
                "shown": row["ci_low"] > 1 or row["ci_high"] < 1,
                "barred": False,
            }
        )
    return pd.DataFrame(lines, columns=["effect", *forest.COLUMNS])


def _compared(scope: registry.Scope) -> list[registry.Fields]:
    """Once, where two cells differ in their track or in their input alone."""
    for name in ("track", "input"):
        others = [tuple(value for key, value in vars(cell).items() if key != name) for cell in scope.cells]
        if len(set(others)) < len(others):
            return [{}]
    return []


FIGURE = registry.Figure("effects", draw, section="static", place=29, each=_compared)
