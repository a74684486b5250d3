"""What is published, and what the README says of it, follows from the raw records beside it."""

import csv
import json
import math
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SETS = sorted(path for path in (PROJECT / "results" / "published").iterdir() if path.is_dir())
# What is said of two frameworks, in every language; tuning and the number of comparisons are said otherwise.
COMPARES = re.compile("times as fast as|no difference is shown|배의 속도를 보입니다|차이가 확인되지")
BLOCK = ("device", "workload", "track", "precision", "input", "batch_size")


@pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
def test_every_published_ratio_is_that_of_the_raw_records(folder):
    speeds: dict[tuple, dict[int, float]] = {}
    for path in (folder / "runs").rglob("round-*.json"):
        record = json.loads(path.read_text())
        cell = (*(str(record[key]) for key in BLOCK), record["framework"])
        speeds.setdefault(cell, {})[record["round"]] = record["images_per_s"]
    with (folder / "comparisons.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        block = tuple(row[key] for key in BLOCK)
        ours, theirs = speeds[*block, row["framework"]], speeds[*block, row["reference"]]
        logs = [math.log(ours[number] / theirs[number]) for number in ours.keys() & theirs.keys()]
        assert int(row["rounds"]) == len(logs)
        assert float(row["ratio"]) == pytest.approx(math.exp(sum(logs) / len(logs)))


@pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
def test_every_published_number_is_certified(folder):
    with (folder / "measurements.csv").open() as file:
        for row in csv.DictReader(file):
            certificate = json.loads(
                (folder / "certificates" / row["workload"] / f"{row['framework']}.json").read_text()
            )
            assert certificate["passed"]
            assert certificate["id"] == row["certificate"]


@pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
def test_nothing_published_was_made_with_a_stand_in_for_a_driver(folder):
    records = [json.loads(path.read_text()) for path in (folder / "runs").rglob("round-*.json")]
    assert records
    assert not [record for record in records if "stand_in" in record["flags"]]


@pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
def test_every_published_verdict_says_the_numbers_of_the_comparisons(folder):
    with (folder / "comparisons.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["ci_low"]]
    compared = [[float(row[key]) for key in ("ratio", "ci_low", "ci_high")] for row in rows]
    for language in ("en", "ko"):
        for sentence in (folder / f"verdict.{language}.txt").read_text().splitlines():
            if COMPARES.search(sentence):
                said = re.findall(r"\d+\.\d\d+", sentence)[:3]
                decimals = [len(text.partition(".")[2]) for text in said]
                assert said in [[f"{one:.{n}f}" for one, n in zip(row, decimals, strict=True)] for row in compared]


def test_the_readme_shows_the_verdict_of_a_published_set():
    readme = (PROJECT / "README.md").read_text()
    assert any((folder / "verdict.en.txt").read_text() in readme for folder in SETS)
