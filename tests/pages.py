"""A campaign's folder, from made-up records, and its pages."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import simulated
from framebench import languages
from framebench.analyse.agreement import agreement
from framebench.analyse.table import write_table
from framebench.certificate import sealed
from framebench.plan import catalogue
from framebench.report.document import Making, document
from framebench.report.page import page
from framebench.report.results import read
from simulated import Tables

# The smallest possible figure; other tests look at real ones.
FIGURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="70" height="40" viewBox="0 0 70 40">'
    '<!-- "#1" --><path d="M 1.234567 2.345678 L 60.00001 30.00002" style="stroke: #0072b2"/></svg>'
)
FIGURES = ("article-cpu", "article-2018-p100", "article-2018-k80", "throughput", "ratio", "campaign", "warmup")
EVERY = languages.languages()


def left(folder: Path, tables: Tables, uncertified: Sequence[str] = ()) -> Path:
    """`folder` with tables, figures and certificates; noise.csv and power.csv are missing."""
    for name, frame in tables.by_name().items():
        write_table(frame, folder / f"{name}.csv")
    for language in EVERY:
        (folder / "figures" / language).mkdir(parents=True)
        for name in FIGURES:
            (folder / "figures" / language / f"{name}.svg").write_text(FIGURE, encoding="utf-8")
    for workload, framework in tables.measurements[["workload", "framework"]].drop_duplicates().to_numpy():
        if framework not in uncertified:
            path = folder / "certificates" / workload / f"{framework}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(certificate(workload, framework)), encoding="utf-8")
    return folder


def merged(folder: Path, newest: str = "1.0", left_out: str = "lab,runs/x.json,is not JSON") -> Path:
    """`folder` after a merge of two machines with a card of one model, the second twice as fast.

    Only the first has certificates. With `newest`, it is one card, and the second set was measured later with that
    version of every framework.
    """
    tables = simulated.campaign(gpus={"p100@home": "Tesla P100", "p100@lab": "Tesla P100"}, noise=0.02)
    if newest != "1.0":
        later = tables.measurements["device"] == "p100@lab"
        versions = later.map({True: newest, False: "1.0"})
        tables.measurements["framework_version"] = versions
        tables.measurements["device_uuid"] = "GPU-1"
    left(folder, tables, uncertified=simulated.THREE)
    for framework in simulated.THREE:
        path = folder / "certificates" / "article-cnn" / f"{framework}@home-1.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(certificate("article-cnn", framework, machine="home")), encoding="utf-8")
    write_table(agreement(tables.measurements, 0.95), folder / "agreement.csv")
    (folder / "parts.csv").write_text(
        "part,machine,runs,duplicates,left_out\nhome.zip,home,45,0,0\nlab,lab,45,3,1\n", encoding="utf-8"
    )
    (folder / "left_out.csv").write_text(f"part,file,reason\n{left_out}\n", encoding="utf-8")
    return folder


def certificate(workload: str, framework: str, **changes: Any) -> dict:
    check = {"precision": "float64", "quantity": "gradients", "where": "", "passed": True}
    body = {
        "id": f"{workload}-{framework}",
        "workload": workload,
        "framework": framework,
        "passed": True,
        "reason": None,
        "tuned_reason": None,
        "checks": [
            check | {"layer": "conv1", "difference": 1e-14, "bound": 1e-9},
            check | {"layer": "dense1", "difference": 1e-12, "bound": 1e-9},
        ],
        "threads": 2,
        "sources": ["workflow/framebench/workloads/layers.py"],
        **changes,
    }
    return sealed(body)


def making(**changes: Any) -> Making:
    return Making(
        **{
            "baseline": "tensorflow",
            "question": simulated.QUESTION,
            "languages": [(name, languages.load(name)["language"], f"report.{name}.html") for name in EVERY],
            "config": {"results": "results", "frameworks": ["tensorflow", "pytorch"]},
            "again": "make rerun BLOCK={block}",
            "command": "snakemake --cores all report",
            "published": pd.read_csv(
                catalogue.ROOT / "workflow/resources/rosetta-2018.csv", dtype=str, keep_default_na=False
            ),
            "citation": yaml.safe_load((catalogue.ROOT / "CITATION.cff").read_text(encoding="utf-8")),
            **changes,
        }
    )


def document_of(folder: Path, language: str = "en", **changes: Any) -> dict:
    return document(read(folder, language), languages.load(language), making(**changes))


def write_page(folder: Path, output: Path, language: str) -> Path:
    """The page of a folder of results, in the folder `output`."""
    file = output / f"report.{language}.html"
    file.write_text(page(document_of(folder, language), languages.load(language)), encoding="utf-8")
    return file


def write_pages(folder: Path, output: Path) -> Path:
    """The pages in every language, likewise; `output`."""
    for language in EVERY:
        write_page(folder, output, language)
    return output
