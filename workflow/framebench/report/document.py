"""The page's content as one document of plain values; the template only lays it out."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import log
from typing import Any

import pandas as pd
import yaml

from framebench import workloads
from framebench.analyse import agreement, machines, overhead, rerun, selection, why
from framebench.analyse.selection import PANEL, device_name
from framebench.analyse.table import flagged
from framebench.answer import flips, verdict
from framebench.answer.screen import Made, Screen, screen
from framebench.certify.page import CIRCUMSTANCES, nearest
from framebench.figures import campaign, drawing, registry
from framebench.languages import Language, numbers
from framebench.plan import catalogue
from framebench.record import BLOCK, STAND_IN
from framebench.report import gaps, illustrations, rows, surroundings
from framebench.report.quantities import QUANTITIES, Measured, Quantity, Value, cells, in_words
from framebench.report.results import Results

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


@dataclass(frozen=True)
class Making:
    """Facts about a campaign beside its results."""

    baseline: str
    question: Sequence[str] | None
    languages: Sequence[tuple[str, str, str]]  # code, name, file of the page in it
    config: Mapping[str, Any] | None
    command: str
    published: pd.DataFrame  # rosetta-2018.csv, as text
    citation: Mapping[str, Any]  # CITATION.cff
    again: str | None = None  # command that measures a block again, with the placeholder {block}
    archive: str | None = None  # file beside the page with the certificates, if the page does not have them


def document(results: Results, language: Language, making: Making) -> dict[str, Any]:
    """The template's input, made of JSON's types; every number has a link to its rows in the page."""
    measurements, comparisons = results.measurements, results.tables["comparisons"]
    labels = {name: catalogue.framework_label(name) for name in {*measurements["framework"], making.baseline}}
    devices = {
        str(device): device_name(measurements, str(device)) for device in sorted(measurements["device"].unique())
    }
    speaker = _Speaker(language, labels, devices)
    text_of = {**results.rows, "rosetta-2018": making.published}
    tables = {name: rows.grouped(name, text) for name, text in text_of.items() if rows.fits(text)}
    measured = cells(results, making.baseline, language)

    # A figure that was not drawn has no file: any device may have a timeline, and any campaign a search.
    scope = registry.scope_of(measurements.to_dict("records"), sampled=list(devices), searched=True)
    pictures = {
        section: [
            asdict(one) | {"sources": [(table, rows.link(tables, table, {})) for table in one.sources]} for one in drawn
        ]
        for section, drawn in illustrations.illustrations(
            scope, results.figures, results.captions, language, devices
        ).items()
    }
    words: dict[str, Any] = {
        "article_batch_sizes": _article_batch_sizes(measurements),
        "language": language,
        "labels": labels,
        "baseline": making.baseline,
        "question": making.question,
    }
    effects = results.tables["effects"]
    sentences = verdict.sentences(
        measurements,
        comparisons,
        effects,
        results.tables.get("overhead", pd.DataFrame(columns=list(overhead.COLUMNS))),
        results.tables.get("why", pd.DataFrame(columns=list(why.COLUMNS))),
        agreement=results.tables.get("agreement"),
        **words,
    )
    first = screen(Made(measurements, comparisons, effects, **words))
    warning = language["stand_in"] if flagged(measurements, STAND_IN).any() else ""
    confidence = drawing.confidence_of(comparisons)
    certified = {
        (one.get("machine", ""), workload, framework) for (workload, framework, _), one in results.certificates.items()
    }
    return {
        "languages": making.languages,
        "warning": warning,
        "devices": devices,
        "provenance": " · ".join(drawing.provenance(measurements, language, labels).split("\n\n")[-1].split("\n")),
        "screen": asdict(first) | {"warnings": [one for one in first.warnings if one != warning]},
        "bars": _bars(first, tables, making),
        "answers": [_said(one, tables) for one in sentences],
        "pictures": pictures,
        "explorer": _explorer(measured, results, tables, speaker, making),
        "flips": [
            _flip(pair, tables, speaker)
            for pair in flips.pairs(
                comparisons, list(measurements["framework"].unique()), making.baseline, making.question
            )
        ],
        "cells": _cell_table(measured, tables, speaker),
        "certificates": [
            _certificate(one, name, speaker.at(labels[framework], one.get("machine", "")), making.archive, language)
            for (_, framework, name), one in sorted(results.certificates.items())
        ],
        "uncertified": sorted(
            {
                f"{speaker.at(labels[framework], machines.machine(device))}, {workload}"
                for device, workload, framework in measurements[["device", "workload", "framework"]]
                .drop_duplicates()
                .itertuples(index=False)
                if (machines.machine(device), workload, framework) not in certified
            }
        ),
        "order": [
            {
                "text": f"{devices[row['device']]}: {campaign.in_words(row, 1 - confidence, language)}",
                "href": rows.link(tables, "order", {"device": row["device"]}),
            }
            for row in results.tables.get("order", pd.DataFrame()).to_dict("records")
        ],
        "noise": _noise(results, tables, speaker),
        "parts": _parts(results, tables),
        "left_out": [
            ": ".join(filter(None, row)) for row in results.rows.get("left_out", pd.DataFrame()).itertuples(index=False)
        ],
        "agreement": _agreement(results, tables, speaker),
        "of_device": surroundings.told(measurements, "device", surroundings.OF_DEVICE, language),
        "of_framework": surroundings.told(measurements, "framework", surroundings.OF_FRAMEWORK, language),
        "of_campaign": surroundings.told(measurements, None, surroundings.OF_CAMPAIGN, language),
        "labels": {framework: labels[framework] for framework in sorted(measurements["framework"].unique())},
        "config": yaml.safe_dump(dict(making.config), sort_keys=False, allow_unicode=True) if making.config else "",
        "command": making.command,
        "gaps": [_gap(one, speaker) for one in gaps.gaps(measurements)],
        "failed": sum(cell.state != "ok" for cell in measured),
        "missing_tables": results.missing_tables,
        "missing_columns": results.missing_columns,
        "citation": _citation(making.citation, measurements, devices),
        "tables": [asdict(table) for table in tables.values()],
        "beside": [name for name in text_of if name not in tables],
    }


def _article_batch_sizes(measurements: pd.DataFrame) -> dict[str, int]:
    return {name: workloads.load(name).article_batch_size for name in set(measurements["workload"])}


def _said(sentence: verdict.Sentence, tables: Mapping[str, rows.Table]) -> dict[str, str]:
    href = rows.link(tables, sentence.table, sentence.where)
    return {"text": sentence.text, "href": href, "table": sentence.table}


@dataclass(frozen=True)
class Bar:
    """A row's interval on the common axis of all rows, in percent of its width; 50 is a ratio of 1."""

    low: float
    width: float
    ratio: float
    colour: str | None  # of the framework shown to be the faster


def _bars(first: Screen, tables: Mapping[str, rows.Table], making: Making) -> list[list[dict[str, Any]]]:
    """By group and row: the bar of an interval, the link to its rows, and the command that measures it again."""
    told = [row for group in first.groups for row in group.rows if row.low and row.high]
    # No narrower than a fifth, so that a ratio close to 1 looks close to it.
    most = max([log(1.2), *(abs(log(end)) for row in told for end in (row.low, row.high) if end)])
    found: list[list[dict[str, Any]]] = []
    for group in first.groups:
        found.append([])
        for row in group.rows:
            bar = None
            if row.low and row.ratio and row.high:
                low, ratio, high = (50 + 49 * log(end) / most for end in (row.low, row.ratio, row.high))
                colour = catalogue.colour(row.winner)
                bar = Bar(round(low, 2), round(max(high - low, 0.4), 2), round(ratio, 2), colour)
            found[-1].append(
                {
                    "bar": bar and asdict(bar),
                    "href": rows.link(tables, "comparisons", row.where),
                    "again": making.again and making.again.format(block=shlex.quote(rerun.name(row.where))),
                }
            )
    return found


@dataclass(frozen=True)
class _Speaker:
    """Formats the values of keys for a reader."""

    language: Language
    labels: Mapping[str, str]
    devices: Mapping[str, str]

    def value(self, key: str, value: Any) -> str:
        if key == "device":
            name = self.devices.get(str(value), str(value))
            if machines.machine(str(value)):
                return f"{machines.alone(str(value))}, {name}"
            said = self.language.value(value)
            return name if name == str(value) else f"{said} ({name})"
        if key == "framework":
            return self.labels.get(value) or catalogue.framework_label(value)
        if key in ("track", "input"):
            return self.language[f"{key}_{value}"]
        return self.language.workload(str(value)) if key == "workload" else str(value)

    def at(self, what: str, machine: str) -> str:
        """Words for a machine, if there are several."""
        return f"{what} ({machine})" if machine else what

    def briefly(self, key: str, value: Any) -> str:
        """The same in short."""
        if key == "input":
            return self.language[f"input_{value}_short"]
        if key == "batch_size":
            return self.language["batch"].format(batch_size=value)
        if key == "device":
            return self.language.value(value)
        return str(value) if key == "workload" else self.value(key, value)

    def number(self, quantity: Quantity, value: Value) -> str:
        """The number with its bounds, or the reason for its absence."""
        if value.number is None:
            return value.remark

        def said(number: float) -> str:
            if quantity.reference:
                return numbers.ratio(number)
            return numbers.number(number, f",.{quantity.decimals}f")

        return numbers.bounded(value.number, value.low, value.high, said)


def _explorer(
    measured: Sequence[Measured], results: Results, tables: Mapping[str, rows.Table], speaker: _Speaker, making: Making
) -> dict[str, Any]:
    """Data of the charts that a reader chooses: a block for every combination that was measured."""
    language, measurements, comparisons = speaker.language, results.measurements, results.tables["comparisons"]
    styles = drawing.framework_styles(measurements["framework"])
    at_size = selection.at_article_size(measurements, _article_batch_sizes(measurements))
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
                baseline=making.baseline,
                question=making.question,
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
                "values": {quantity.name: _value(quantity, cell, tables, speaker) for quantity in QUANTITIES},
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


def _value(quantity: Quantity, cell: Measured, tables: Mapping[str, rows.Table], speaker: _Speaker) -> dict[str, Any]:
    """A value with its text and the link to its rows; values that are not finite are null."""
    value = cell.values[quantity.name]
    return asdict(value) | {
        "text": speaker.number(quantity, value),
        "remark": value.remark if value.number is not None else "",
        "href": rows.link(tables, quantity.table, cell.where),
    }


def _cell_table(measured: Sequence[Measured], tables: Mapping[str, rows.Table], speaker: _Speaker) -> dict[str, Any]:
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
                "values": [_value(one, cell, tables, speaker) for one in told],
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


def _flip(pair: flips.Pair, tables: Mapping[str, rows.Table], speaker: _Speaker) -> dict[str, Any]:
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


def _ratio(row: Mapping[str, Any]) -> str:
    if pd.isna(row["ratio"]):
        return "–"
    return numbers.bounded(row["ratio"], row["ci_low"], row["ci_high"])


def _certificate(
    certificate: Mapping[str, Any], framework: str, label: str, archive: str | None, language: Language
) -> dict[str, Any]:
    file = f"certificates/{certificate['workload']}/{framework}.json"
    return {
        "id": certificate["id"],
        "workload": certificate["workload"],
        "framework": label,
        "file": file,
        "href": archive or file,
        "judged": _judged(certificate),
        "reasons": [certificate[key] for key in ("reason", "tuned_reason") if certificate.get(key)],
        "checks": [asdict(one) | {"quantity": language.value(one.quantity)} for one in nearest(certificate["checks"])],
        "circumstances": {
            language.column(name): language.value(certificate[name])
            for name in CIRCUMSTANCES
            if certificate.get(name) is not None
        },
        "sources": certificate["sources"],
    }


def _judged(certificate: Mapping[str, Any]) -> str:
    if not certificate["passed"]:
        return "refused"
    return "passed_by_default" if certificate.get("tuned_reason") else "passed"


def _noise(results: Results, tables: Mapping[str, rows.Table], speaker: _Speaker) -> list[dict[str, Any]]:
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


def _parts(results: Results, tables: Mapping[str, rows.Table]) -> list[dict[str, Any]]:
    """A line per part of a merge."""
    link = {"href": rows.link(tables, "parts", {})}
    return [
        {**{str(key): value for key, value in row.items()}, **link}
        for row in results.rows.get("parts", pd.DataFrame()).to_dict("records")
    ]


DIFFERENT = (agreement.APART, agreement.SLOWER, agreement.FASTER)


def _agreement(results: Results, tables: Mapping[str, rows.Table], speaker: _Speaker) -> list[dict[str, Any]]:
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


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else f"{100 * share:.1f}"


def _gap(gap: gaps.Gap, speaker: _Speaker) -> str:
    language = speaker.language
    said = language[f"page_gap_{gap.key}"].format(values=", ".join(speaker.value(gap.key, one) for one in gap.values))
    return f"{gap.workload}: {said}" if gap.workload else said


def _citation(citation: Mapping[str, Any], measurements: pd.DataFrame, devices: Mapping[str, str]) -> dict[str, str]:
    """Sources to cite: the software, by CITATION.cff, and these results."""
    starts = measurements["started_unix_s"].dropna()
    return {
        "authors": ", ".join(
            author.get("name") or f"{author['given-names']} {author['family-names']}" for author in citation["authors"]
        ),
        "title": citation["title"],
        "date": f"{datetime.fromtimestamp(starts.max(), UTC):%Y-%m-%d}" if len(starts) else "?",
        "devices": ", ".join(devices.values()),
        "versions": ", ".join(measurements["framebench_version"].dropna().unique()) or "?",
        "commits": ", ".join(measurements["git_commit"].dropna().unique()) or "?",
    }
