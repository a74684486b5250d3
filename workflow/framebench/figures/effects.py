"""Effects of settings and input within one framework: tuned ÷ default, and host ÷ device."""

from collections.abc import Mapping

import pandas as pd

from framebench.analyse import selection
from framebench.analyse.effects import FASTER, KEPT, NOT_SHOWN, SLOWER, TUNED
from framebench.analyse.payback import AFTER, AT_ONCE, NEVER
from framebench.answer import gains
from framebench.figures import drawing, forest, registry
from framebench.languages import Language
from framebench.record import BLOCK

# Names of effects in effects.csv, in the order drawn → key of their panel's heading.
EFFECTS = {TUNED: "effect_tuned", "host ÷ device": "effect_host"}

# Verdicts of payback.csv → key of the sentence.
PAYBACKS = {AFTER: "payback_after", AT_ONCE: "payback_at_once", NEVER: "payback_never"}


def reasons(
    measurements: pd.DataFrame,
    effects: pd.DataFrame,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
) -> list[str]:
    """A sentence per framework: why it gains from tuning, or that no gain or no change is shown.

    The sentences cover the cells at the article's batch size; workloads with the same reason share one.
    """
    both = selection.both_tracks(measurements, article_batch_sizes)
    tuned = effects[(effects["effect"] == TUNED) & effects["ratio"].notna()]
    said = {SLOWER: language["why_loss"], NOT_SHOWN: language["why_not_shown"]}
    workloads: dict[tuple[str, str], list[str]] = {}
    for key, runs in both.groupby(cell := ["device", "framework", "workload", "batch_size"]):
        _, framework, workload, _ = key
        found = tuned[(tuned[cell] == pd.Series(key, cell)).all(axis=1)]
        for verdict in found["verdict"]:
            why = said.get(verdict) or gains.explained(runs, language)
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
    """A sentence per cell: after how many samples the tuned settings make up for a longer start.

    It covers the cells at the article's batch size in `paid` (payback.csv), and leaves out those without a shown gain.
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
) -> drawing.Captioned:
    """One panel per effect, one line per cell; the caption says why each framework gains, and when that pays."""
    rows = _lines(measurements, effects[effects["verdict"] != KEPT], language, labels)
    panels = [(effect, rows[rows["effect"] == effect]) for effect in EFFECTS if effect in set(rows["effect"])]
    figure, all_axes = drawing.panels(
        [forest.size_in(of_effect) for _, of_effect in panels] or [1],
        language["title_effects"],
        drawing.provenance(measurements, language, labels),
        [
            language["note_effects"].format(confidence=100 * drawing.confidence_of(effects)),
            *reasons(measurements, effects, article_batch_sizes, language, labels),
            *paybacks(measurements, payback, article_batch_sizes, language, labels),
        ],
        titles=[language[EFFECTS[effect]] for effect, _ in panels],
    )
    for axes, (_, of_effect) in zip(all_axes, panels, strict=False):
        forest.draw(axes, of_effect)
    if panels:
        all_axes[-1].set_xlabel(language["axis_effects"])
    else:
        drawing.nothing(all_axes[0], language["nothing_tuned"])
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
                "shown": row["verdict"] in (FASTER, SLOWER),
                "barred": False,
            }
        )
    return pd.DataFrame(lines, columns=["effect", *forest.COLUMNS])


def _compared(scope: registry.Scope) -> list[registry.Fields]:
    """The figure once, if two cells differ only in their track or only in their input."""
    for name in ("track", "input"):
        others = [tuple(value for key, value in vars(cell).items() if key != name) for cell in scope.cells]
        if len(set(others)) < len(others):
            return [{}]
    return []


FIGURE = registry.Figure("effects", draw, section="static", place=29, each=_compared)
