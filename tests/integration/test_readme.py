"""Every command in the README and its pages works, on the smallest matrix."""

import re
import shutil
import subprocess

import pytest
import yaml

import benchmark
from conftest import PROJECT, TINY, copy_of
from framebench.measure.protocol import Blocks

pytestmark = [pytest.mark.all, pytest.mark.usefixtures("installed")]
# The first two in a reader's order, the others by name: the second puts Snakemake in the PATH.
FIRST = ["README.md", "docs/snakemake.md"]
PAGES_NOT_HERE = {
    "docs/my-model.md": "test_my_model_page holds its commands against what they print",
    "docs/offline.md": "it packs hundreds of MB; test_bundle packs a small project",
    "docs/slurm.md": "it asks for a cluster's GPUs; tests/system has a cluster",
    "docs/statistics.md": "its studies simulate for minutes and write the page",
}
NOT_HERE = {
    "make test": "it is part of what runs this test",
    "snakemake largest-batch": "it is asked for in config.yaml, as in test_largest_batch",
    "make bench": "it measures for a quarter of an hour; test_benchmark runs its quickest part",
}

ON_A_MODEL = "MODEL=examples"


def pages() -> list[str]:
    others = sorted(f"docs/{page.name}" for page in (PROJECT / "docs").glob("*.md"))
    return FIRST + [page for page in [*others, "CONTRIBUTING.md"] if page not in {*FIRST, *PAGES_NOT_HERE}]


def commands() -> list[str]:
    blocks = [
        block
        for page in pages()
        for block in re.findall(r"```sh\n(.*?)```", (PROJECT / page).read_text(encoding="utf-8"), re.DOTALL)
    ]
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def newcomer(certified, tmp_path_factory):
    """A folder, fresh but for certificates, in which the commands are run one after another, as a reader would."""
    workspace = copy_of(certified, tmp_path_factory.mktemp("newcomer"))
    # The two of the question: the campaign of the workflow's own tests has all.
    two = {"frameworks": ["keras-tensorflow", "pytorch"], "baseline": "keras-tensorflow"}
    # Merged is the archive written by `snakemake export`.
    workspace.configure(**two, languages=["en"], merge=["results/framebench-results.zip"])
    # At its own batch size, a round of the example in four frameworks takes a minute and a half.
    problem = workspace.folder / "examples" / "resnet-tiny" / "problem.yaml"
    written = yaml.safe_load(problem.read_text(encoding="utf-8"))
    problem.write_text(yaml.safe_dump(written | {"batch_size": 8}), encoding="utf-8")
    small = {"matrix": TINY["matrix"], "languages": ["en"], "frameworks": ["pytorch"], "baseline": "pytorch"}
    small["question"] = None
    for preset in (workspace.folder / "presets").glob("*.yaml"):
        results = workspace.folder / yaml.safe_load(preset.read_text(encoding="utf-8"))["results"]
        preset.write_text(
            yaml.safe_dump({"results": str(results.relative_to(workspace.folder))} | small), encoding="utf-8"
        )
        for made in ("certificates", "data"):
            shutil.copytree(workspace.folder / "results" / made, results / made)
    return workspace


def test_the_pages_show_the_commands_of_a_newcomer():
    assert commands()[:2] == ["make run", "make test"]
    assert {"snakemake --cores all", "snakemake article-2018", "make run PRESET=quick", *NOT_HERE} <= set(commands())


def succeed(asked, folder):
    """Run these commands one after another; the result."""
    result = subprocess.run(
        ["bash", "-c", "\n".join(["set -eux", "unset ARGS MAKEFLAGS MAKELEVEL PYTHONPATH", *asked])],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


# In a group of its own, as both take minutes.
@pytest.mark.xdist_group("readme on a model")
def test_the_commands_of_the_readme_on_a_model_succeed(newcomer):
    asked = [command for command in commands() if ON_A_MODEL in command]
    assert [command.split()[1] for command in asked] == ["prove", "compare"]
    assert "resnet-tiny, batch 8" in succeed(asked, newcomer.folder).stderr  # a row of the screen at its end
    assert (newcomer.folder / "results" / "resnet-tiny" / "comparisons.csv").exists()


def test_every_other_command_of_the_readme_and_its_pages_succeeds_in_order(newcomer):
    others = [command for command in commands() if command not in NOT_HERE and ON_A_MODEL not in command]
    result = succeed(others, newcomer.folder)
    results = newcomer.folder / "results"
    assert (results / "quick" / "comparisons.csv").exists()
    assert (results / "figures" / "en" / "article-cpu.svg").exists()
    assert (results / "merged" / "report.en.html").exists()
    report = (results / "aa" / "aa.md").read_text(encoding="utf-8")
    assert "2 comparisons of a framework with itself. " in report
    assert "2 comparisons of a framework with itself doing more work. " in report
    assert report in result.stderr
    assert "small CNN, batch 32" in result.stderr


def test_a_preset_that_does_not_exist_is_refused_with_those_that_do(newcomer):
    result = newcomer.run("make", "run", "PRESET=fast")
    assert result.returncode != 0
    assert "PRESET=fast does not exist; allowed: article gpu-quick gpu publish quick transformer" in result.stderr


def test_benchmark():
    python = subprocess.run(
        ["make", "--silent", "bench", "ARGS=--only plan --runs 300"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert python.returncode == 0, python.stderr
    assert re.search(r"planning 303 runs: [\d.]+ s, \d+ MiB", python.stdout)


def test_the_benchmark_times_harness_and_plain_script_in_turn(monkeypatch, tmp_path):
    told = {}
    monkeypatch.setattr(benchmark, "FRAMEWORKS", ["pytorch"])
    monkeypatch.setattr(benchmark, "SAMPLES", 10 * benchmark.BATCH_SIZE)
    monkeypatch.setattr(benchmark, "BLOCKS", Blocks(count=2, min_s=0.05, min_steps=2, lead_in_s=0.01))
    monkeypatch.setattr(benchmark, "told", lambda what, ratios: told.update({what: ratios}))
    benchmark.harness(tmp_path / "harness", pairs=1)
    ((what, ratios),) = told.items()
    assert what == "harness ÷ plain script, pytorch"
    assert len(ratios) == 1 and ratios[0] > 0
