"""After an invocation with failed jobs, there is an answer of the runs that there are, and it says what is missing."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

import simulated
from framebench import languages
from framebench.analyse import failures
from framebench.analyse.comparisons import comparisons
from framebench.analyse.table import read_records, table
from framebench.answer import verdict
from framebench.plan import catalogue, config, matrix, so_far
from framebench.record import NOT_MEASURED, write

pytestmark = pytest.mark.check

RUN = "runs/cpu/article-cnn/{}/default/float32/device/batch-32/round-{}.json"


@pytest.fixture
def results(tmp_path) -> Path:
    """Results of which the third round of PyTorch is missing; an older record of it is still there."""
    for record in simulated.campaign(blocks=[("article-cnn", "device", 32)], rounds=3).records:
        path = tmp_path / "results" / RUN.format(record["framework"], record["round"])
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, record)
    return tmp_path / "results"


def left(results: Path) -> so_far.SoFar:
    missing = f"{results}/{RUN.format('pytorch', 3)}"
    cell = {"device": "cpu", "workload": "article-cnn", "framework": "pytorch", "track": "default"}
    cell |= {"precision": "float32", "input": "device", "batch_size": 32}
    fields = {missing: cell | {"round": 3, "order": 9, "seed": 1}}
    return so_far.leave(str(results), [missing, f"{results}/measurements.csv"], fields)


def measured(results: Path, found: so_far.SoFar) -> list[dict]:
    planned = [f"{results}/{RUN.format(name, round)}" for name in simulated.THREE for round in (1, 2, 3)]
    listing = results / "plan.txt"
    listing.write_text("".join(f"{found.record(path)}\n" for path in planned), encoding="utf-8")
    return read_records(listing)


def test_a_run_that_was_not_measured_is_in_the_table_with_the_reason_and_counts_for_nothing(results):
    records = measured(results, left(results))
    runs = table(records)
    (row,) = runs[runs["status"] != "ok"].to_dict("records")
    assert (row["framework"], row["round"], row["status"], row["reason"]) == ("pytorch", 3, NOT_MEASURED, so_far.REASON)
    compared = comparisons(runs, 0.95, {"cpu": 0.1, "gpu": 0.03}, {}, question=simulated.QUESTION)
    rounds = {(row["framework"], row["reference"]): row["rounds"] for row in compared.to_dict("records")}
    assert rounds["pytorch", "tensorflow"] == 2 and rounds["keras-tensorflow", "tensorflow"] == 3
    said = [one.text for one in verdict.warnings(runs, compared, languages.load("en"))]
    assert said[0].startswith("1 of 9 runs are not measured yet") and len(said) == 1
    assert failures.failures(runs, ["framework"]) == [], "a missing run is no failure, which would be set aside"


def test_an_older_record_of_a_missing_run_is_kept_in_its_place_for_the_next_plan(results):
    place = results / RUN.format("pytorch", 3)
    before = place.read_bytes()
    found = left(results)
    assert place.read_bytes() == before
    assert found.record(str(place)) != str(place)
    assert so_far.SoFar.read(None).record(str(place)) == str(place)


def test_what_an_earlier_failed_invocation_left_does_not_count_later(results):
    left(results)
    found = so_far.leave(str(results), [f"{results}/verdict.en.txt"], {})
    assert {record["status"] for record in measured(results, found)} == {"ok"}
    assert [path.name for path in (results / ".so-far").rglob("*") if path.is_file()] == ["unmade.json"]


def test_the_line_on_missing_runs_counts_all_and_names_the_first(results):
    planned = [f"{results}/{RUN.format(name, round)}" for name in simulated.THREE for round in (1, 2, 3)]
    assert so_far.missing(planned, [f"{results}/measurements.csv"]) == ""
    line = so_far.missing(planned, planned[4:])
    assert line.startswith("4 of 9 runs are there. Missing: cpu · article-cnn · keras-tensorflow · default · ")
    assert line.endswith("; and 2 more.")
    gone = so_far.missing([*planned, f"{results}/{RUN.format('jax', 1)}"], [])
    assert gone.startswith("9 of 10 runs are there. Missing: cpu · article-cnn · jax · ")


def test_the_plan_of_what_there_is_names_the_same_runs_in_the_same_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = config.readable(catalogue.ROOT / "config.yaml") | {"devices": ["cpu"]}
    asked = config.load(written, "config.yaml")
    run = matrix.runs(asked)[3]
    path = matrix.record_path(asked.results, run)
    fields = vars(run.cell) | {"round": run.round, "order": 4, "seed": 1}
    found = so_far.leave(asked.results, [path], {path: fields})
    options = ["--config", json.dumps(written), "--output"]
    matrix.main([*options, "whole.txt"])
    matrix.main([*options, "so-far.txt", "--unmade", str(found.listing)])
    whole, part = (Path(name).read_text(encoding="utf-8").splitlines() for name in ("whole.txt", "so-far.txt"))
    assert [i for i, (one, other) in enumerate(zip(whole, part, strict=True)) if one != other] == [3]
    (record,) = [one for one in map(Path, part) if one.exists()]
    assert {key: json.loads(record.read_text(encoding="utf-8"))[key] for key in asdict(run.cell)} == asdict(run.cell)
