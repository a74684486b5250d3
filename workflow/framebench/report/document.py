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
from framebench.analyse import machines, overhead, rerun, why
from framebench.analyse.selection import device_name
from framebench.analyse.table import flagged
from framebench.answer import flips, verdict
from framebench.answer.screen import Made, Screen, screen
from framebench.certify.page import CIRCUMSTANCES, nearest
from framebench.figures import campaign, drawing, registry
from framebench.languages import Language
from framebench.plan import catalogue
from framebench.record import STAND_IN
from framebench.report import gaps, illustrations, listed, rows, surroundings
from framebench.report.explorer import explorer
from framebench.report.quantities import cells
from framebench.report.results import Results
from framebench.report.speaker import Speaker


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
    speaker = Speaker(language, labels, devices)
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
    article_batch_sizes = {name: workloads.load(name).article_batch_size for name in set(measurements["workload"])}
    words: dict[str, Any] = {
        "article_batch_sizes": article_batch_sizes,
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
        "explorer": explorer(
            measured,
            results,
            tables,
            speaker,
            baseline=making.baseline,
            question=making.question,
            article_batch_sizes=article_batch_sizes,
        ),
        "flips": [
            listed.flip(pair, tables, speaker)
            for pair in flips.pairs(
                comparisons, list(measurements["framework"].unique()), making.baseline, making.question
            )
        ],
        "cells": listed.cell_table(measured, tables, speaker),
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
        "noise": listed.noise(results, tables, speaker),
        "parts": listed.parts(results, tables),
        "left_out": [
            ": ".join(filter(None, row)) for row in results.rows.get("left_out", pd.DataFrame()).itertuples(index=False)
        ],
        "agreement": listed.of_equal_cards(results, tables, speaker),
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


def _gap(gap: gaps.Gap, speaker: Speaker) -> str:
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
