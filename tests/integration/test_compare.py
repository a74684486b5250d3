"""A user's own model goes through a campaign: proved, measured, compared with its own steps, and with others."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from conftest import Workspace, make_workspace

pytestmark = pytest.mark.usefixtures("installed")

PROBLEM = {
    "input": {"shape": [12, 12, 3], "type": "float32"},
    "target": {"classes": 4},
    "loss": "softmax_cross_entropy",
    "optimizer": {"name": "adamw", "learning_rate": 0.001, "weight_decay": 0.01},
    "batch_size": 20,
}
KERAS = """
import keras
from keras import layers


def build():
    return keras.Sequential([
        keras.Input((12, 12, 3)),
        layers.Conv2D(6, 3, use_bias=False),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(4),
    ])
"""
PYTORCH = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.head = nn.Linear(600, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        return self.head(x.permute(0, 2, 3, 1).flatten(1))


def build():
    return Net()
"""
# A proof takes batches of five samples.
LESS_WORK = PYTORCH.replace(
    "    def forward(self, x):\n",
    "    def forward(self, x):\n        if len(x) > 16 and self.training:\n            x = torch.cat([x[:10]] * 2)\n",
)


def written(folder: Path, pytorch: str, **changes: object) -> Path:
    folder.mkdir()
    (folder / "problem.yaml").write_text(yaml.safe_dump(PROBLEM | changes), encoding="utf-8")
    (folder / "keras.py").write_text(KERAS, encoding="utf-8")
    (folder / "pytorch.py").write_text(pytorch, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """A campaign about three models: equal, one that does less work where it is measured, and one that is different."""
    folder = tmp_path_factory.mktemp("compare")
    own = folder / "own models"
    own.mkdir()
    texts = {"mine": PYTORCH, "less": LESS_WORK, "other": PYTORCH.replace("torch.relu", "torch.tanh")}
    models = {name: str(written(own / name, text)) for name, text in texts.items()}
    models["anyway"] = str(written(own / "anyway", texts["other"], compare_anyway=True))
    (folder / "project").mkdir()
    made = make_workspace(folder / "project")
    entry = yaml.safe_load((made.folder / "config.yaml").read_text(encoding="utf-8"))["matrix"][0]
    made.configure(
        frameworks=["keras-torch", "pytorch"],
        baseline="keras-torch",
        question=None,
        models=models,
        matrix=[entry | {"workload": name, "batch_sizes": [20], "rounds": 3} for name in ("mine", "anyway")],
    )
    return made


@pytest.fixture(scope="module")
def said(workspace) -> str:
    result = workspace.snakemake("results/verdict.en.txt", "results/report.en.html")
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def records(workspace: Workspace, model: str) -> list[dict]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in workspace.records() if model in path.parts]


@pytest.mark.test
def test_both_files_are_proved_measured_and_compared(workspace, said):
    proof = json.loads((workspace.folder / "results/certificates/mine/proof.json").read_text(encoding="utf-8"))
    assert proof["outcome"] == "equal_but" and {one["kind"] for one in proof["differences"]} == {"running variance"}
    runs = records(workspace, "mine")
    assert len(runs) == 6 and {(one["status"], one["reason"]) for one in runs} == {("ok", None)}
    assert {one["folder_digest"] for one in runs} == {proof["folder_digest"]}
    with (workspace.folder / "results/comparisons.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["workload"] == "mine"]
    assert {row["framework"] for row in rows} == {"keras-torch", "pytorch"}
    assert all(float(row["ratio"]) > 0 for row in rows)
    assert "mine: equal but for running variance" in said
    assert "Proof of mine: equal but for running variance   Page: results/certificates/mine/proof.html" in said
    assert "mine" in (workspace.folder / "results/verdict.en.txt").read_text(encoding="utf-8")


@pytest.mark.test
def test_every_run_is_held_against_its_own_file(workspace, said):
    for one in records(workspace, "mine"):
        assert [look["at"] for look in one["story"]] == ["start"] * len(one["story"]) and len(one["story"]) == 5
        assert all(look["value"] is not None for look in one["story"])


@pytest.mark.test
def test_different_models_are_measured_without_comparing_them_where_that_is_asked_for(workspace, said):
    assert {(one["status"], one["reason"]) for one in records(workspace, "anyway")} == {("ok", None)}
    with (workspace.folder / "results/comparisons.csv").open(encoding="utf-8") as file:
        verdicts = [row["verdict"] for row in csv.DictReader(file) if row["workload"] == "anyway"]
    assert verdicts and all(one.startswith("not comparable: ") for one in verdicts)
    assert all("different, first at layer" in one for one in verdicts)


@pytest.mark.test
@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("less", "keras.py and pytorch.py train differently at batch size 20, though the proof at 5 samples says"),
        ("other", "other: different, first at layer"),
    ],
)
def test_models_that_are_different_are_not_measured(workspace, said, model, line):
    """Even if only a batch larger than the proof's shows it."""
    before = (workspace.folder / "config.yaml").read_text(encoding="utf-8")
    entry = yaml.safe_load(before)["matrix"][0]
    workspace.configure(matrix=[entry | {"workload": model}])
    result = workspace.snakemake("results/verdict.en.txt")
    (workspace.folder / "config.yaml").write_text(before, encoding="utf-8")
    assert result.returncode != 0 and not records(workspace, model)
    assert line in result.stdout + result.stderr


@pytest.mark.all
def test_an_example_with_attention_is_certified_and_measured(tmp_path):
    """The README's campaign measures another example, and test_prove proves all of them."""
    made = make_workspace(tmp_path)
    entry = yaml.safe_load((made.folder / "config.yaml").read_text(encoding="utf-8"))["matrix"][0]
    frameworks = ["keras-tensorflow", "pytorch"]
    made.configure(
        frameworks=frameworks,
        question=None,
        baseline="pytorch",
        models={"vit-tiny": "examples/vit-tiny"},
        matrix=[entry | {"workload": "vit-tiny", "batch_sizes": [8]}],
    )
    result = made.snakemake("results/measurements.csv", "certificates")
    assert result.returncode == 0, result.stdout + result.stderr
    runs = {one["framework"]: one for one in records(made, "vit-tiny")}
    assert set(runs) == set(frameworks)
    assert {(one["status"], one["reason"]) for one in runs.values()} == {("ok", None)}
    assert all(one["story"] for one in runs.values())
    for framework in frameworks:
        certificate = json.loads(
            (made.folder / f"results/certificates/vit-tiny/{framework}.json").read_text(encoding="utf-8")
        )
        assert certificate["passed"] and certificate["outcome"].startswith("equal")
    assert json.loads(runs["pytorch"]["kernels"])["attention"] == "flash"
