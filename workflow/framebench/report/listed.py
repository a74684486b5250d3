"""Tables of the page, line by line: cells, pairs over batch sizes, noise, parts of a merge, equal cards."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from framebench.analyse import agreement
from framebench.analyse.selection import PANEL
from framebench.answer import flips
from framebench.languages import numbers
from framebench.record import BLOCK
from framebench.report import rows
from framebench.report.quantities import QUANTITIES, Measured, Quantity, in_words
from framebench.report.results import Results
from framebench.report.speaker import Speaker

DIFFERENT = (agreement.APART, agreement.SLOWER, agreement.FASTER)


def value_of(quantity: Quantity, cell: Measured, tables: Mapping[str, rows.Table], speaker: Speaker) -> dict[str, Any]:
    """A value with its text and the link to its rows; values that are not finite are null."""
    value = cell.values[quantity.name]
    return asdict(value) | {
        "text": speaker.number(quantity, value),
        "remark": value.remark if value.number is not None else "",
        "href": rows.link(tables, quantity.table, cell.where),
    }


def cell_table(measured: Sequence[Measured], tables: Mapping[str, rows.Table], speaker: Speaker) -> dict[str, Any]:
    """A line per cell: the keys in which cells differ, the measurements, and the outcome of the runs."""
    language = speaker.language
    keys = ["framework", *BLOCK]
    values = {key: list(dict.fromkeys(cell.where[key] for cell in measured)) for key in keys}
    varying = [key for key in keys if len(values[key]) > 1 or key == "framework"]
    told = [one for one in QUANTITIES if any(cell.values[one.name].number is not None for cell in measured)]
    return {
        "keys": [language[f"page_{key}"] for key in varying],
        "constant": [
            f"{language[f'page_{key}']}: {speaker.value(key, values[key][0])}"
            for key in keys
            if key not in varying and measured
        ],
        "quantities": [language[f"quantity_{one.name}"] for one in told],
        "untold": [
            {
                "title": language[f"quantity_{one.name}"],
                "why": "; ".join(dict.fromkeys(cell.values[one.name].remark for cell in measured)),
            }
            for one in QUANTITIES
            if one not in told
        ],
        "lines": [
            {
                "where": [
                    {
                        "text": str(cell.where[key]) if key == "batch_size" else speaker.briefly(key, cell.where[key]),
                        "sort": cell.where[key],
                    }
                    for key in varying
                ],
                "gap": cell.state != "ok" or cell.ok < cell.runs,
                "values": [value_of(one, cell, tables, speaker) for one in told],
                "href": rows.link(tables, "measurements", cell.where),
                "runs": language["page_runs_of"].format(ok=cell.ok, runs=cell.runs),
                "ok": cell.ok,
                "state": language["page_state_ok"] if cell.state == "ok" else language[f"status_{cell.state}"],
                "reasons": cell.reasons,
                "flags": [f"{language.value(flag)} ({number})" for flag, number in cell.flags.items()],
            }
            for cell in measured
        ],
    }


def flip(pair: flips.Pair, tables: Mapping[str, rows.Table], speaker: Speaker) -> dict[str, Any]:
    """A pair of frameworks over batch sizes: its ratio at each, and the sizes between which the faster one changes."""
    language = speaker.language
    first, second = speaker.value("framework", pair.framework), speaker.value("framework", pair.reference)
    if pair.turns:
        found = "; ".join(
            language["page_turns"].format(
                after=turn.after, before=turn.before, framework=speaker.value("framework", turn.winner)
            )
            for turn in pair.turns
        )
    elif len(pair.rows) == 1:
        found = language["page_one_size"]
    elif pair.winners:
        found = language["page_no_turn"].format(framework=speaker.value("framework", pair.winners[0]))
    else:
        found = language["page_nothing_shown"]
    return {
        "pair": language["pair"].format(framework=first, reference=second),
        "panel": " · ".join(speaker.briefly(key, pair.panel[key]) for key in PANEL),
        "found": found,
        "sizes": [
            {
                "batch_size": row["batch_size"],
                "text": _ratio(row),
                "says": in_words(row["verdict"], language),
                "href": rows.link(tables, "comparisons", row),
            }
            for row in pair.rows
        ],
    }


def noise(results: Results, tables: Mapping[str, rows.Table], speaker: Speaker) -> list[dict[str, Any]]:
    """A line per cell of noise.csv; shares in percent."""
    return [
        {
            "cell": " · ".join(speaker.briefly(key, row[key]) for key in ["framework", *BLOCK]),
            "within": _percent(row["within_cv"]),
            "between": _percent(row["between_cv"]),
            "busy": row["busy_runs"],
            "unsettled": row["not_converged_runs"],
            "runs": row["runs"],
            "href": rows.link(tables, "noise", row),
        }
        for row in results.tables.get("noise", pd.DataFrame()).to_dict("records")
    ]


def parts(results: Results, tables: Mapping[str, rows.Table]) -> list[dict[str, Any]]:
    """A line per part of a merge."""
    link = {"href": rows.link(tables, "parts", {})}
    return [
        {**{str(key): value for key, value in row.items()}, **link}
        for row in results.rows.get("parts", pd.DataFrame()).to_dict("records")
    ]


def of_equal_cards(results: Results, tables: Mapping[str, rows.Table], speaker: Speaker) -> list[dict[str, Any]]:
    """A line per cell and pair of equal cards; those that differ first."""
    language = speaker.language
    found: list[dict[Any, Any]] = results.tables.get("agreement", pd.DataFrame()).to_dict("records")
    return [
        {
            "cell": " · ".join(
                [str(row["device_name"]), *(speaker.briefly(key, row[key]) for key in ["framework", *BLOCK[1:]])]
            ),
            "machine": row["machine"],
            "reference": row["reference"],
            "speed": f"{row['images_per_s']:,.0f}",
            "reference_speed": f"{row['reference_images_per_s']:,.0f}",
            "ratio": _ratio(row),
            "sort": row["ratio"],
            "apart": row["verdict"] in DIFFERENT,
            "verdict": language[f"page_agreement_{row['verdict'].replace(' ', '_')}"].format(**row),
            "software": ""
            if row["version"] == row["reference_version"]
            else language["page_other_software"].format(**row),
            "href": rows.link(tables, "agreement", row),
        }
        for row in sorted(found, key=lambda row: row["verdict"] not in DIFFERENT)
    ]


def _ratio(row: Mapping[str, Any]) -> str:
    if pd.isna(row["ratio"]):
        return "–"
    return numbers.bounded(row["ratio"], row["ci_low"], row["ci_high"])


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else f"{100 * share:.1f}"
