"""Killed, hung and failing runs: each costs only itself, and the next invocation repeats it."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from conftest import append, processes, wait_for

pytestmark = [pytest.mark.test, pytest.mark.usefixtures("installed")]
# Every run, with a failure if one failed; most of these tests need no figures.
MEASURED = "results/.complete"
LONG_BLOCKS = {"blocks": {"count": 3, "min_s": 30.0, "min_steps": 2}}


def workers(folder: Path) -> list[int]:
    """Process ids of the measuring processes of the campaign in `folder`."""
    return processes(folder, "framebench.measure.worker")


def statuses(workspace):
    with (workspace.folder / "results" / "measurements.csv").open(encoding="utf-8") as file:
        return {row["framework"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}


def test_a_killed_measuring_process_costs_only_its_run(certified_workspace):
    workspace = certified_workspace
    workspace.configure(frameworks=["tensorflow", "pytorch"], question=None, protocol={"blocks": {"min_s": 3.0}})
    figure = "results/figures/ko/throughput.png"
    snakemake = workspace.start_snakemake(MEASURED, figure)
    (worker, *_) = wait_for(lambda: workers(workspace.folder))
    os.kill(worker, signal.SIGKILL)
    printed, _ = snakemake.communicate()

    assert snakemake.returncode != 0
    (killed,) = [name for name, (status, _) in statuses(workspace).items() if status == "failed"]
    assert "killed by SIGKILL" in statuses(workspace)[killed][1]
    assert "1 of 2 runs failed" in printed
    assert (workspace.folder / figure).exists()
    # Both are measured again: a run is compared with the others of its round.
    assert workspace.plan().runs == {"tensorflow": 1, "pytorch": 1}, printed
    result = workspace.snakemake(MEASURED)
    assert result.returncode == 0, result.stdout + result.stderr
    assert {status for status, _ in statuses(workspace).values()} == {"ok"}
    kept = list((workspace.folder / "results" / "runs").rglob("failed/*.json"))
    assert sorted(json.loads(path.read_text(encoding="utf-8"))["status"] for path in kept) == ["failed", "ok"]


def test_when_snakemake_is_killed_nothing_goes_on_and_nothing_is_half_written(workspace):
    # Both are in one environment, which is quickly imported.
    workspace.configure(frameworks=["keras-torch", "pytorch"], question=None, baseline="pytorch", protocol=LONG_BLOCKS)
    snakemake = workspace.start_snakemake(MEASURED)
    wait_for(lambda: workers(workspace.folder))
    snakemake.kill()
    snakemake.communicate()
    wait_for(lambda: not workers(workspace.folder))
    assert workspace.records() == []

    workspace.configure(protocol={"blocks": {"min_s": 0.05}})
    refused = workspace.snakemake(MEASURED)
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout + refused.stderr
    workspace.snakemake("--unlock")
    result = workspace.snakemake(MEASURED)
    assert result.returncode == 0, result.stdout + result.stderr
    assert {status for status, _ in statuses(workspace).values()} == {"ok"}
    assert not list((workspace.folder / "results").rglob(".round-*"))


def test_a_run_that_hangs_is_stopped_and_shown(workspace):
    # Blocks that cannot end before the limit, and a limit that the configuration check still allows.
    workspace.configure(
        frameworks=["pytorch"],
        question=None,
        baseline="pytorch",
        protocol={"blocks": {"count": 1, "min_s": 4.9, "min_steps": 10**6}, "timeout_s": 5},
    )
    result = workspace.snakemake(MEASURED)
    assert result.returncode != 0
    assert statuses(workspace)["pytorch"] == ("timeout", "still running after protocol.timeout_s = 5 s of its own")
    assert workers(workspace.folder) == []


@pytest.mark.all
def test_a_model_of_the_wrong_size_is_a_failed_run_with_its_reason_and_not_compared(certified_workspace):
    workspace = certified_workspace
    model = workspace.folder / "workflow/framebench/workloads/article_cnn/pytorch.py"
    append(
        model,
        "def _wider(net, init=Net.__init__):\n    init(net)\n    net.dense1 = nn.Linear(16 * 6 * 6, 11)",
        "Net.__init__ = _wider",
    )
    result = workspace.snakemake(MEASURED, "results/comparisons.csv")
    assert result.returncode != 0
    status, reason = statuses(workspace)["pytorch"]
    assert status == "failed"
    assert "dense1" in reason
    assert statuses(workspace)["tensorflow"][0] == "ok"
    assert "Traceback" not in result.stderr
    (log,) = (workspace.folder / "results/logs/runs/cpu/article-cnn/pytorch").rglob("*.log")
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_a_model_that_does_not_learn_is_invalid(workspace):
    adapter = workspace.folder / "workflow/framebench/frameworks/pytorch/adapter.py"
    append(adapter, "torch.optim.SGD.step = lambda optimizer: None")
    workspace.configure(frameworks=["pytorch"], question=None, baseline="pytorch")
    assert workspace.snakemake(MEASURED).returncode != 0
    status, reason = statuses(workspace)["pytorch"]
    assert status == "invalid"
    assert reason.startswith("the loss did not move")
