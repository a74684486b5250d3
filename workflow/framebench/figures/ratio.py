"""Ratios of every compared pair in every block, with their intervals."""

from collections.abc import Mapping, Sequence

import pandas as pd

from framebench.analyse import selection
from framebench.analyse.comparisons import DECIDED
from framebench.figures import drawing, forest, registry
from framebench.languages import Language
from framebench.record import BLOCK


def compared(comparisons: pd.DataFrame, baseline: str, question: Sequence[str] | None) -> pd.DataFrame:
    """The comparisons drawn, in order: the pair that the `question` names, then each framework against `baseline`.

    Rows of comparisons.csv, block by block inside a pair.
    """
    against_baseline = sorted(comparisons.loc[comparisons["reference"] == baseline, "framework"].unique())
    drawn = [comparisons.iloc[:0]]
    against = [(framework, baseline) for framework in against_baseline]
    for framework, reference in dict.fromkeys([*([tuple(question)] if question else []), *against]):
        of_pair = comparisons[(comparisons["framework"] == framework) & (comparisons["reference"] == reference)]
        drawn.append(of_pair.sort_values(BLOCK))
    return pd.concat(drawn, ignore_index=True)


def draw(
    measurements: pd.DataFrame,
    comparisons: pd.DataFrame,
    *,
    baseline: str,
    question: Sequence[str] | None = None,
    language: Language,
    labels: Mapping[str, str],
) -> drawing.Captioned:
    """One panel per track, with one line per block and pair."""
    rows = compared(comparisons, baseline, question)
    reasons = rows["verdict"].map(selection.obstacle)
    notes = {reason: i for i, reason in enumerate(filter(None, reasons.unique()), start=1)}
    several_devices = measurements["device"].nunique() > 1
    drawn = []
    for row in rows.to_dict("records"):
        reason = selection.obstacle(row["verdict"])
        pair = language["pair"].format(framework=labels[row["framework"]], reference=labels[row["reference"]])
        drawn.append(
            row
            | {
                "heading": pair,
                "label": drawing.row_title(row | {"track": "default"}, language, several_devices),
                "words": forest.in_words(row, language) + (f" ({notes[reason]})" if reason else ""),
                "colour": drawing.PALE if reason else drawing.INK,
                "marker": "o",
                "shown": row["verdict"] in DECIDED and pd.notna(row["ci_low"]),
                "barred": bool(reason),
            }
        )
    lines = pd.DataFrame(drawn, columns=["track", *forest.COLUMNS])
    panels = list(lines.groupby("track")) or [("default", lines)]
    caption = [language["note_ratio"].format(confidence=100 * drawing.confidence_of(comparisons))]
    caption += [f"({i}) {language['not_comparable']}: {reason}" for reason, i in notes.items()]
    figure, all_axes = drawing.panels(
        [forest.size_in(of_track) for _, of_track in panels],
        language["title_ratio"],
        drawing.provenance(measurements, language, labels),
        caption,
        titles=[language[f"track_{track}"] for track, _ in panels],
    )
    for axes, (_, of_track) in zip(all_axes, panels, strict=True):
        forest.draw(axes, of_track)
    all_axes[-1].set_xlabel(language["axis_ratio"])
    return figure


FIGURE = registry.Figure("ratio", draw, section="static", place=21)
