"""Data of the charts in which a reader chooses what to see."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from framebench.analyse import machines, selection
from framebench.answer import verdict
from framebench.figures import drawing
from framebench.record import BLOCK
from framebench.report import rows
from framebench.report.listed import value_of
from framebench.report.quantities import QUANTITIES, Measured
from framebench.report.results import Results
from framebench.report.speaker import Speaker

# Vega's names of matplotlib's markers.
SHAPES = {
    "o": "circle",
    "s": "square",
    "D": "diamond",
    "^": "triangle-up",
    "v": "triangle-down",
    "P": "cross",
    "<": "triangle-left",
    ">": "triangle-right",
}


def explorer(
    measured: Sequence[Measured],
    results: Results,
    tables: Mapping[str, rows.Table],
    speaker: Speaker,
    *,
    baseline: str,
    question: Sequence[str] | None,
    article_batch_sizes: Mapping[str, int],
) -> dict[str, Any]:
    """A block for every combination that was measured, and the choices that lead to it.

    `baseline` and `question` are those of the verdict; `article_batch_sizes`: workload → size that is shown first.
    """
    language, measurements, comparisons = speaker.language, results.measurements, results.tables["comparisons"]
    styles = drawing.framework_styles(measurements["framework"])
    at_size = selection.at_article_size(measurements, article_batch_sizes)
    blocks: dict[tuple[str, ...], dict[str, Any]] = {}
    several = any(machines.machine(str(cell.where["device"])) for cell in measured)

    def where(keys: Mapping[Any, Any] | pd.Series) -> dict[str, str]:
        """The choices that lead to a block: with several machines, first the machine, then its device."""
        device = str(keys["device"])
        machine = {"machine": machines.machine(device), "device": machines.alone(device)} if several else {}
        return {name: str(keys[name]) for name in BLOCK} | machine

    for cell in measured:
        key = tuple(str(cell.where[name]) for name in BLOCK)
        if key not in blocks:
            of_block = (measurements[BLOCK] == pd.Series(cell.where)[BLOCK]).all(axis=1)
            said = verdict.answers(
                comparisons,
                measurements[of_block],
                language,
                speaker.labels,
                baseline=baseline,
                question=question,
            )
            href = rows.link(tables, "comparisons", dict(zip(BLOCK, key, strict=True)))
            blocks[key] = {
                "where": where(cell.where),
                "answers": [{"text": text, "href": href} for text in said],
                "cells": [],
            }
        colour, marker = styles[cell.where["framework"]]
        blocks[key]["cells"].append(
            {
                "framework": speaker.value("framework", cell.where["framework"]),
                "colour": colour,
                "shape": SHAPES.get(marker, "circle"),
                "values": {quantity.name: value_of(quantity, cell, tables, speaker) for quantity in QUANTITIES},
            }
        )
    return {
        "facets": [
            {
                "name": key,
                "label": language[f"page_{key}"],
                "options": [
                    {"value": value, "label": speaker.value(key, value)}
                    for value in dict.fromkeys(where(cell.where)[key] for cell in _by_size(measured, key))
                ],
            }
            for key in (["machine", *BLOCK] if several else BLOCK)
        ],
        "quantities": [
            {
                "name": quantity.name,
                "title": language[f"quantity_{quantity.name}"],
                "meaning": language[f"meaning_{quantity.name}"],
                "reference": quantity.reference,
            }
            for quantity in QUANTITIES
        ],
        "blocks": list(blocks.values()),
        "start": next((where(one.iloc[0]) for _, one in at_size.groupby(BLOCK)), {}),
        "words": {
            name: language[f"page_{name}"]
            for name in ("framework", "batch_size", "at_size", "over_sizes", "shown_cells", "not_measured_choice")
        }
        | {"comparisons": language.table("comparisons")},
    }


def _by_size(measured: Sequence[Measured], key: str) -> Sequence[Measured]:
    """The cells in the order in which the page offers a key's values: batch sizes by number."""
    return sorted(measured, key=lambda cell: cell.where["batch_size"]) if key == "batch_size" else measured
