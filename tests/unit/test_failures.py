"""Failed runs make room for the next attempt, and their evidence is kept."""

import json
from pathlib import Path

import pytest

from framebench import record
from framebench.analyse import failures
from runs import run

pytestmark = pytest.mark.check

RECORD = "runs/h200/article-cnn/pytorch/default/float32/device/batch-32/round-1.json"


@pytest.fixture
def results(tmp_path) -> Path:
    """A results folder with the samples of one run."""
    samples = record.samples_path(tmp_path / RECORD)
    samples.parent.mkdir(parents=True)
    samples.write_bytes(b"samples")
    (tmp_path / RECORD).parent.mkdir(parents=True)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("status", failures.RETRIED)
def test_a_failed_run_is_set_aside_with_its_samples(results, status):
    failed = run("pytorch", 1, None, status=status, started_unix_s=1234.0)
    (results / RECORD).write_text(json.dumps(failed), encoding="utf-8")
    failures.set_aside([results / RECORD])
    folder = RECORD.removeprefix("runs/").removesuffix("/round-1.json")
    assert files(results) == [f"runs/{folder}/failed/round-1-1234.json", f"samples/{folder}/failed/round-1-1234.npz"]


def test_runs_of_one_job_are_set_aside_together(results):
    for framework, status in {"pytorch": "ok", "tensorflow": "timeout", "keras-tensorflow": "ok"}.items():
        path = results / RECORD.replace("pytorch", framework)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run(framework, 1, 100.0, status=status, started_unix_s=1234.0)), encoding="utf-8")
    records = [results / RECORD.replace("pytorch", framework) for framework in ("pytorch", "tensorflow")]
    assert len(failures.set_aside(records)) == 3
    assert not any(path.exists() for path in records)
    assert (results / RECORD.replace("pytorch", "keras-tensorflow")).exists()
    assert failures.set_aside(records) == []


@pytest.mark.parametrize("status", ["ok", "out_of_memory"])
def test_a_result_stays_where_it_is(results, status):
    (results / RECORD).write_text(json.dumps(run("pytorch", 1, 100.0, status=status)), encoding="utf-8")
    before = files(results)
    assert failures.set_aside([results / RECORD]) == []
    assert files(results) == before
