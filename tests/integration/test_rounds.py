"""Rounds from a rule: requested once, for every framework of the block, and measured once."""

import csv
import json
import os
import signal
from collections import Counter

import pytest
from test_interruption import wait_for, workers

from conftest import TINY

pytestmark = [pytest.mark.all, pytest.mark.usefixtures("installed")]

# No interval is as narrow as this, so every pair requests the most rounds.
RULE = {"at_least": 3, "at_most": 4, "ci_half_width": 1e-6}
TARGETS = ("results/noise.csv", "results/.complete")


@pytest.fixture
def ruled(certified_workspace):
    """Two frameworks, one cell with the rule and one with a number of rounds."""
    workspace = certified_workspace
    (entry,) = TINY["matrix"]
    matrix = [entry | {"rounds": RULE}, entry | {"inputs": ["host"], "rounds": 1}]
    workspace.configure(frameworks=["tensorflow", "pytorch"], question=["pytorch", "tensorflow"], matrix=matrix)
    return workspace


def measured(workspace):
    """Record → time of writing, without those that were set aside."""
    return {path: path.stat().st_mtime_ns for path in workspace.records() if path.parent.name != "failed"}


def noise(workspace):
    with (workspace.folder / "results/noise.csv").open(encoding="utf-8") as file:
        return {(row["input"], row["framework"]): row for row in csv.DictReader(file)}


def test_a_rule_adds_rounds_and_neither_a_failed_run_nor_another_invocation_measures_any_twice(ruled):
    snakemake = ruled.start_snakemake(*TARGETS)
    (worker, *_) = wait_for(lambda: workers(ruled.folder), timeout_s=300)
    os.kill(worker, signal.SIGKILL)
    printed, _ = snakemake.communicate()

    assert snakemake.returncode != 0
    assert "precision: 2 more runs, up to round 4" in printed
    assert "1 of 10 runs failed" in printed
    rows = noise(ruled)
    assert sum(int(row["runs"]) for row in rows.values()) == 9
    for (source, _), row in rows.items():
        asked = ("1e-06", "False") if source == "device" else ("", "")
        assert (row["half_width_asked"], row["reached"]) == asked

    # The failed run was set aside, with the other of its round: these are measured, and then nothing.
    before = measured(ruled)
    assert len(before) == 8
    for _ in range(2):
        result = ruled.snakemake(*TARGETS)
        assert result.returncode == 0, result.stdout + result.stderr
        after = measured(ruled)
        assert before.items() <= after.items()
        before = after
    cells = Counter((path.parts[-3], path.parts[-6]) for path in before)
    assert cells == {
        (source, framework): 4 if source == "device" else 1
        for source in ("device", "host")
        for framework in ("tensorflow", "pytorch")
    }
    for path in before:
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["minor_faults_per_step"] >= 0
        assert record["warmup_steps"] == sum(group["steps"] for group in record["warmup_intervals"][1:])
    (row,) = json.loads((ruled.folder / "results/rounds.json").read_text(encoding="utf-8"))
    assert (row["rounds"], {row["framework"], row["reference"]}) == (4, {"tensorflow", "pytorch"})


def test_rounds_until_decided_are_what_the_budget_gives(ruled):
    (entry,) = TINY["matrix"]
    rule = {"at_least": 3, "at_most": 4, "until": "decided"}
    # Less time than any round takes, and a margin that no three rounds decide.
    tight = {"budget_min": 0.001, "same_within": {"cpu": 1e-6, "gpu": 1e-6}}
    ruled.configure(
        frameworks=["tensorflow", "pytorch"],
        question=["pytorch", "tensorflow"],
        matrix=[entry | {"rounds": rule}],
        **tight,
    )
    result = ruled.snakemake(*TARGETS)
    assert result.returncode == 0, result.stdout + result.stderr
    printed = result.stdout + result.stderr
    assert "precision: 0 more runs, up to round 3; about 0.0 min that decide 0 of 1 blocks" in printed
    assert "[measuring 1 of 3] article-cnn" in printed and "[measuring 3 of 3] article-cnn" in printed
    (row,) = json.loads((ruled.folder / "results/rounds.json").read_text(encoding="utf-8"))
    assert (row["rounds"], row["needed"], row["granted"]) == (3, None, False)
    assert row["round_s"] > 0
    assert {(row["half_width_asked"], row["reached"]) for row in noise(ruled).values()} == {("1e-06", "False")}


def test_without_a_rule_there_is_no_checkpoint(workspace):
    assert "rounds_needed" not in workspace.plan("results/noise.csv").jobs
