"""A framework of one's own: the files of `make new-framework` and one word in config.yaml take it through everything.

It is the unchanged template, NumPy as a framework, in the place of a real one. Its packages are those of the tests' own
Python, so that no environment is made for it.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import TINY, Workspace, copy_of, make_workspace
from framebench.plan import catalogue
from planted_faults import outcomes

pytestmark = [pytest.mark.all, pytest.mark.usefixtures("installed")]
NAME = "my-net"


def files(workspace: Workspace) -> dict[str, bytes]:
    """Every file of the project and what is in it."""
    return {
        str(path.relative_to(workspace.folder)): path.read_bytes()
        for part in ("workflow", "envs", "config.yaml")
        for path in ([workspace.folder / part] if part.endswith("yaml") else (workspace.folder / part).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def new_framework(workspace: Workspace, name: str) -> subprocess.CompletedProcess[str]:
    return workspace.run("make", "--no-print-directory", f"PYTHON={sys.executable}", "new-framework", f"NAME={name}")


@pytest.fixture(scope="module")
def workspace(certified, tmp_path_factory) -> Workspace:
    """The project with a new framework in it, and nothing but files added."""
    made = copy_of(certified, tmp_path_factory.mktemp("new"))
    before = files(made)
    result = new_framework(made, NAME)
    assert result.returncode == 0, result.stdout + result.stderr
    after = files(made)
    assert before.items() <= after.items()
    assert sorted(after.keys() - before.keys()) == [
        "envs/my_net-cpu.in",
        *(f"workflow/framebench/frameworks/my_net/{name}.py" for name in ("adapter", "faults", "inspector", "samples")),
        "workflow/framebench/workloads/article_cnn/my_net.py",
    ]
    for path in after.keys() - before.keys():
        assert path in result.stdout or "workloads" not in path  # the printed steps name it
    made.configure(
        frameworks=["pytorch", NAME], question=None, baseline="pytorch", interpreters={"my_net": sys.executable}
    )
    return made


@pytest.fixture(scope="module")
def campaign(workspace) -> str:
    """Certificate, run, comparison, figure and verdict; the printed output."""
    result = workspace.snakemake("results/figures/en/throughput.svg", "results/verdict.en.txt", "certificates")
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_it_is_certified(workspace, campaign):
    certificate = json.loads(
        (workspace.folder / f"results/certificates/article-cnn/{NAME}.json").read_text(encoding="utf-8")
    )
    assert (certificate["passed"], certificate["reason"], certificate["tuned_reason"]) == (True, None, None)
    assert certificate["counted_forward_flops_per_sample"] > 0


def test_it_is_measured_and_looked_into(workspace, campaign):
    (record,) = [json.loads(path.read_text(encoding="utf-8")) for path in workspace.records() if NAME in path.parts]
    assert (record["status"], record["reason"]) == ("ok", None)
    assert (record["precision_found"], record["kernels"]) == ("float32", '{"execution": "eager"}')
    assert record["ceiling_gflops"] > 0


def test_it_is_compared_named_and_drawn_in_a_colour_of_its_own(workspace, campaign):
    with (workspace.folder / "results/comparisons.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {NAME, "pytorch"} == {row[key] for row in rows for key in row if key.startswith("framework")}
    assert NAME in (workspace.folder / "results/verdict.en.txt").read_text(encoding="utf-8")
    adapter = catalogue.adapter(NAME, workspace.folder)
    assert adapter.colour not in {catalogue.adapter(name).colour for name in catalogue.frameworks()}
    assert (
        adapter.colour.lower()
        in (workspace.folder / "results/figures/en/throughput.svg").read_text(encoding="utf-8").lower()
    )


def test_its_certificate_refuses_every_fault_that_its_folder_plants(workspace, campaign, tmp_path):
    link_tests(workspace)
    results = workspace.folder / "results"
    (tmp_path / "article-cnn.npz").symlink_to(results / "certificates/article-cnn/problem.npz")
    (tmp_path / "article-cnn.json").symlink_to(results / "certificates/article-cnn/learned.json")
    (tmp_path / "images.npz").symlink_to(results / "data/images.npz")
    command = (sys.executable, "-P", "tests/integration/planted.py", NAME, "", str(tmp_path))
    planted = workspace.run("env", "PYTHONPATH=workflow", "OPENBLAS_NUM_THREADS=1", *command)
    assert planted.returncode == 0, planted.stderr
    found = {one.fault: one.passed for one in outcomes(tmp_path, NAME)}
    assert found.pop("none")
    assert {"momentum dropped", "loss summed over the batch", "labels off by one"} < found.keys()
    assert not any(found.values()), found


def test_the_conformance_suite_sees_it_keep_its_contract(workspace, tmp_path):
    link_tests(workspace)
    seen = tmp_path / "seen.json"
    parts = (NAME, str(seen), "framework", "article-cnn")
    command = (sys.executable, "-P", "tests/integration/conformance_probe.py", *parts)
    probed = workspace.run("env", "PYTHONPATH=workflow", "OPENBLAS_NUM_THREADS=1", *command)
    assert probed.returncode == 0, probed.stderr
    framework, article = (json.loads(seen.read_text(encoding="utf-8"))[part] for part in ("framework", "article-cnn"))
    assert (set(framework["out_of_memory"]), set(framework["not_out_of_memory"])) == ({True}, {False})
    assert " sees none " in framework["no_gpu"]
    assert framework["profiler"]["measured"] == {"profile_reason": "ValueError: NumPy has no profiler"}
    assert article["round_trip"]
    assert article["moved"]
    assert max(article["layer_inputs"].values()) < 1e-5
    assert article["precisions"]["float32"]["outcome"]["precision_found"] == "float32"
    assert article["tuned"] is article["planted"] is None


@pytest.mark.parametrize("suite", ["unit/test_catalogue.py", "unit/test_two_worlds.py", "unit/test_languages.py"])
def test_no_test_of_the_project_asks_for_a_central_edit(workspace, suite):
    link_tests(workspace)
    lock = workspace.folder / "envs/my_net-cpu.txt"
    lock.write_text("numpy==2.3.5\nnvidia-ml-py==13.615.71\npsutil==7.1.3\n", encoding="utf-8")
    result = workspace.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{suite}")
    assert result.returncode == 0, result.stdout


def test_it_keeps_the_projects_form(workspace):
    link_tests(workspace)
    tools = Path(sys.executable).parent
    for command in (["ruff", "check", "workflow"], ["ruff", "format", "--check", "workflow"], ["mypy"]):
        result = workspace.run(str(tools / command[0]), *command[1:])
        assert result.returncode == 0, result.stdout + result.stderr


def test_a_workload_that_it_has_no_model_file_of_is_refused_before_anything_is_measured(workspace):
    (entry,) = TINY["matrix"]
    matrix = workspace.folder / "vgg.yaml"
    matrix.write_text(yaml.safe_dump({"matrix": [entry | {"workload": "vgg-cnn"}]}), encoding="utf-8")
    result = workspace.snakemake("-n", "--configfile", str(matrix))
    assert result.returncode != 0
    reason = f"cannot be built in {NAME}: no workflow/framebench/workloads/vgg_cnn/my_net.py"
    assert reason in result.stdout + result.stderr


def test_without_an_inspector_it_is_measured_and_not_certified(tmp_path):
    workspace = make_workspace(tmp_path)
    assert new_framework(workspace, NAME).returncode == 0
    workspace.configure(frameworks=[NAME], question=None, baseline=NAME, interpreters={"my_net": sys.executable})
    inspector = "workflow/framebench/frameworks/my_net/inspector.py"
    (workspace.folder / inspector).unlink()
    result = workspace.snakemake("results/measurements.csv", "certificates")
    assert result.returncode == 0, result.stdout + result.stderr
    missing = f"{inspector} does not exist, so nothing looks into {NAME}"
    (path,) = workspace.records()
    record = json.loads(path.read_text(encoding="utf-8"))
    assert (record["status"], record["kernels"], record["ceiling_gflops"]) == ("ok", None, None)
    assert record["profile_reason"] == missing
    certificate = json.loads(
        (workspace.folder / f"results/certificates/article-cnn/{NAME}.json").read_text(encoding="utf-8")
    )
    assert not certificate["passed"]
    assert missing in certificate["reason"]
    assert f"article-cnn in {NAME} is not certified: " in result.stdout + result.stderr


def link_tests(workspace: Workspace) -> None:
    """The project's tests and their settings in the workspace."""
    for part in ("tests", "pyproject.toml", "studies"):
        if not (workspace.folder / part).exists():
            (workspace.folder / part).symlink_to(catalogue.ROOT / part)
