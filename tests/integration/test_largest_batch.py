"""The largest batch that trains through the workflow: planned on GPUs, found in every framework on a limited CPU."""

import csv
import json

import pytest

from conftest import TINY, Workspace, append, install_cpu_builds_for_cuda

pytestmark = pytest.mark.all

FRAMEWORKS = ("tensorflow", "keras-tensorflow", "pytorch")
# The frameworks' imports take some 250 MiB of it, and 1,024 images of article-cnn far more than is left.
LIMIT_MIB = 512
SEARCH = {"start": 1024, "at_most": 32768, "host_memory_mib": None}


@pytest.fixture
def on_gpus(stand_in, monkeypatch) -> None:
    """The two cards for all that a workspace runs."""
    for name, value in stand_in.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("on_gpus")
def test_a_campaign_on_gpus_that_asks_for_it_searches_each_of_them_once_for_every_framework_and_precision(workspace):
    (entry,) = TINY["matrix"]
    workspace.configure(devices="auto", matrix=[entry | {"batch_sizes": [32, 64], "precisions": ["float32", "tf32"]}])
    without = workspace.plan()
    assert not {name for name in without.jobs if "largest" in name}
    assert {"results/report.en.html", "results/figures/en/gpu-memory.svg", "results/.complete"} <= without.outputs
    workspace.configure(largest_batch=SEARCH)
    asked = workspace.plan()
    assert asked.jobs["search_largest_batch"] == 2 * 2 * len(FRAMEWORKS)
    assert {"results/largest_batch.csv", "results/figures/en/largest-batch.svg"} <= asked.outputs - without.outputs
    assert without.outputs <= asked.outputs
    alone = workspace.plan("largest-batch")
    assert alone.jobs["search_largest_batch"] == asked.jobs["search_largest_batch"]
    assert not alone.measuring and "certificate" not in alone.jobs


def test_where_nothing_is_asked_for_the_target_says_how_to(workspace):
    result = workspace.snakemake("largest-batch")
    assert result.returncode != 0
    assert "largest_batch: nothing is asked for: `largest_batch: {start: 1024," in result.stderr


@pytest.fixture
def limited(workspace) -> Workspace:
    """Searches on the CPU, in so little memory that they are short."""
    search = {"start": 1024, "at_most": 1024, "host_memory_mib": LIMIT_MIB}
    workspace.configure(largest_batch=search, languages=["en", "ko"])
    return workspace


def rows(workspace: Workspace) -> dict[str, dict[str, str]]:
    """The rows of the table by framework."""
    with (workspace.folder / "results/largest_batch.csv").open(encoding="utf-8") as file:
        return {row["framework"]: row for row in csv.DictReader(file)}


@pytest.mark.usefixtures("installed")
# Keras's adapter takes out-of-memory errors from TensorFlow's.
@pytest.mark.parametrize("framework", ["tensorflow", "pytorch"])
def test_every_adapter_runs_out_of_a_limited_memory_and_its_largest_batch_is_found(limited, framework):
    limited.configure(frameworks=[framework], question=None, baseline=framework)
    result = limited.snakemake("results/largest_batch.csv")
    assert result.returncode == 0, result.stdout + result.stderr
    row = rows(limited)[framework]
    assert (row["status"], row["bound"], row["flags"]) == ("ok", "out_of_memory", ""), row["reason"]
    assert row["host_memory_mib"] == str(LIMIT_MIB)
    path = limited.folder / f"results/largest-batch/cpu/article-cnn/{framework}/float32.json"
    trials = {trial["batch_size"]: trial["status"] for trial in json.loads(path.read_text(encoding="utf-8"))["trials"]}
    assert trials[int(row["largest"])] == "ok"
    assert trials[1024] == "out_of_memory"


@pytest.mark.usefixtures("installed")
def test_a_search_that_fails_is_drawn_as_a_gap_and_made_again_the_next_time(limited):
    limited.configure(
        frameworks=["pytorch"], question=None, baseline="pytorch", largest_batch={"start": 2, "at_most": 2}
    )
    adapter = limited.folder / "workflow/framebench/frameworks/pytorch/adapter.py"
    original = adapter.read_text(encoding="utf-8")
    append(adapter, "torch.optim.SGD.step = lambda optimizer: {}['planted']")
    result = limited.snakemake("largest-batch")
    assert result.returncode != 0
    assert "1 of 1 searches for the largest batch failed:" in result.stdout + result.stderr
    (row,) = rows(limited).values()
    assert (row["status"], row["largest"], row["reason"]) == ("failed", "", "batch 2: KeyError: 'planted'")
    assert (limited.folder / "results/figures/ko/largest-batch.png").exists()

    adapter.write_text(original, encoding="utf-8")
    result = limited.snakemake("largest-batch")
    assert result.returncode == 0, result.stdout + result.stderr
    (row,) = rows(limited).values()
    assert (row["status"], row["largest"], row["bound"]) == ("ok", "2", "at_most")
    for language in ("en", "ko"):
        assert (limited.folder / f"results/figures/{language}/largest-batch.png").exists()

    # Only changes that affect the result cause a new search.
    assert "search_largest_batch" not in limited.plan("largest-batch").jobs
    limited.configure(protocol={"synced_steps": 7})
    assert "search_largest_batch" not in limited.plan("largest-batch").jobs
    for changes in ({"host_memory_mib": LIMIT_MIB + 1}, {"at_most": 4}, {"start": 1}):
        kept = (limited.folder / "config.yaml").read_text(encoding="utf-8")
        limited.configure(largest_batch=changes)
        assert limited.plan("largest-batch").jobs["search_largest_batch"] == 1, changes
        (limited.folder / "config.yaml").write_text(kept, encoding="utf-8")


@pytest.mark.usefixtures("installed", "on_gpus")
def test_a_search_with_the_stand_in_tells_the_card_and_that_it_was_none(workspace):
    install_cpu_builds_for_cuda(workspace.folder)
    workspace.configure(
        devices=["h200"], frameworks=["pytorch"], question=None, baseline="pytorch", largest_batch=SEARCH
    )
    assert workspace.snakemake("largest-batch").returncode != 0
    (row,) = rows(workspace).values()
    assert (row["device_name"], row["gpu_memory_total_mib"], row["flags"]) == ("NVIDIA H200", "143360.0", "stand_in")
    # The card is a stand-in, so the framework sees no GPU: no result, and no message about memory.
    assert (row["status"], row["largest"], row["trials"]) == ("failed", "", "1")
    assert row["reason"].startswith("batch 1024: ValueError: a GPU was requested, but PyTorch")
    assert (workspace.folder / "results/figures/en/largest-batch.png").exists()
