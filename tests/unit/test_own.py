"""A user's model as a workload: known by its name in every process, with samples, certificate and campaign."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml

from framebench import workloads
from framebench.certificate import fault, sealed
from framebench.data.own import samples
from framebench.plan import catalogue, models
from framebench.plan.refusals import ConfigError
from framebench.prove import campaign
from framebench.prove.certificate import certificate
from framebench.workloads import own
from framebench.workloads.layers import SGD, Adam, AdamW, parameters

pytestmark = pytest.mark.check

IMAGES = {
    "input": {"shape": [8, 8, 3], "type": "float32"},
    "target": {"classes": 4},
    "loss": "softmax_cross_entropy",
    "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9},
    "batch_size": 6,
}
TOKENS = {"input": {"shape": [5], "type": "int64", "below": 7}, "target": {"classes": 4, "shape": [5]}}
FLOATS = {"target": {"shape": [1]}, "loss": "mean_squared_error"}
ADAMW = {"name": "adamw", "learning_rate": 0.1, "epsilon": {"keras": 1e-7, "pytorch": 1e-8}}


@pytest.fixture
def folder(tmp_path) -> Path:
    return made(tmp_path / "my-net", "keras.py", "pytorch.py")


def made(folder: Path, *files: str, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "problem.yaml").write_text(yaml.safe_dump(IMAGES | changes), encoding="utf-8")
    for name in files:
        (folder / name).write_text("def build():\n    return 'a model'\n", encoding="utf-8")
    return folder


def announced(folder: Path, **changes: object) -> own.Own:
    made(folder, **changes)
    models.announce({"my-net": str(folder)}, "results")
    workload = workloads.load("my-net")
    assert isinstance(workload, own.Own)
    return workload


def test_a_model_that_is_announced_is_a_workload(folder):
    workload = announced(folder)
    assert (workload.input_shape, workload.article_batch_size, workload.trains) == ((8, 8, 3), 6, True)
    assert workload.optimizer == SGD(0.01, 0.9) and workload.tokens is None and not workload.recurrent
    assert workload.told == "results/certificates/my-net/weights.npz" and workload.data == "my-net"
    assert workload.build("pytorch") == "a model"
    assert "my-net" in catalogue.workloads() and "my-net" not in catalogue.specs()


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ({"name": "adam", "learning_rate": 0.1}, Adam(0.1, 0.9, 0.999, 1e-7)),
        (ADAMW, AdamW(0.1, 0.9, 0.999, 1e-7, 0.01)),
    ],
)
def test_both_files_train_with_the_same_optimizer(folder, optimizer, expected):
    assert announced(folder, optimizer=optimizer).optimizer == expected


def test_another_name_of_file_and_function_is_kept_to(folder):
    (folder / "net.py").write_text("class Net:\n    pass\n", encoding="utf-8")
    workload = announced(folder, keras={"file": "net.py", "function": "Net"})
    assert type(workload.build("keras")).__name__ == "Net"
    assert catalogue.model_path("keras-torch", "my-net") == folder / "net.py"
    assert not catalogue.takes_part("jax", "my-net")


def test_a_compiler_finds_the_module_of_a_model_that_was_built(folder):
    (folder / "pytorch.py").write_text(
        "from parts import Net\n\n\nclass Own:\n    pass\n\n\ndef build():\n    return Own(), Net()\n", encoding="utf-8"
    )
    (folder / "parts.py").write_text("class Net:\n    pass\n", encoding="utf-8")
    for one in announced(folder).build("pytorch"):
        assert import_module(type(one).__module__).__dict__[type(one).__name__] is type(one)
        del sys.modules[type(one).__module__]


def test_a_changed_file_of_the_folder_is_another_model(folder):
    announced(folder)
    before = catalogue.certificate_id("pytorch", "my-net", "lock")
    (folder / "layers.py").write_text("x = 1\n", encoding="utf-8")
    catalogue.certificate_id.cache_clear()  # of one process, which meets no change
    assert catalogue.certificate_id("pytorch", "my-net", "lock") != before


@pytest.mark.parametrize(
    ("name", "files", "line"),
    [
        ("vgg-cnn", ["keras.py"], "models.vgg-cnn: is a workload of framebench"),
        ("my-net", [], "has neither keras.py nor pytorch.py"),
    ],
)
def test_a_folder_that_cannot_be_measured_is_refused(tmp_path, name, files, line):
    folder = made(tmp_path / "net", *files)
    with pytest.raises(ConfigError, match=line):
        models.announce({name: str(folder)}, "results")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no folder"):
        models.announce({"my-net": str(tmp_path / "none")}, "results")


@pytest.mark.parametrize("changes", [{}, TOKENS, FLOATS, FLOATS | {"loss": "binary_cross_entropy"}])
def test_samples_are_ten_batches_of_the_problem(folder, changes):
    workload = announced(folder, **changes)
    x, y = samples(workload, 6, seed=3)
    assert x.shape == (60, *workload.input_shape) and (samples(workload, 6, seed=3)[0] == x).all()
    if workload.tokens:
        assert x.dtype == np.int64 and 0 <= x.min() < x.max() < workload.tokens and y.shape == (60, 5)
    else:
        assert x.dtype == np.float32 and abs(x.mean()) < 0.1
    assert (y.dtype == np.int64 and set(np.unique(y)) == set(range(4))) if workload.classifies else y.shape == (60, 1)
    if workload.loss == "binary_cross_entropy":
        assert set(np.unique(y)) == {0.0, 1.0}


def test_weights_are_those_of_the_proof_and_statistics_are_no_parameters(folder, tmp_path):
    workload = announced(folder)
    arrays = {"keras/000/kernel": (3, 2), "keras/001/moving_mean": (2,), "pytorch/bn.running_var": (2,)}
    told = tmp_path / "weights.npz"
    facts = np.array(json.dumps({"flops_per_sample": 12}))
    np.savez(told, facts=facts, **{name: np.ones(shape, np.float32) for name, shape in arrays.items()})
    workload = own.Own.of("my-net", {"asked": workload.asked, "told": str(told)})
    assert workload.weight_shapes == arrays and workload.flops_per_sample == 12
    assert parameters(workload.weight_shapes) == 6


PROOF = {
    "outcome": "equal_but",
    "differences": [{"kind": "running variance"}],
    "folder_digest": "0123",
    "requirements": None,
    "seed": 1,
    "parameters": {"keras": 5, "pytorch": 5},
    "versions": {},
    "checks": [
        {"quantity": "evaluation loss", "difference": 1e-16, "bound": 1e-14, "passed": True},
        {"quantity": "gradient", "difference": 0.3, "bound": 0.1, "passed": True},  # zero in theory
        {"quantity": "control: a weight moved by 1 %", "difference": 0.1, "bound": 1e-14, "passed": True},
    ],
}
FACTS = {"id": "abc", "lock_digest": "def", "sources": ["workflow/framebench/workloads/own.py"]}


def of(proof: dict) -> dict:
    checks = [{"layer": "", "precision": "float64", "where": ""} | one for one in proof["checks"]]
    return sealed(certificate(proof | {"checks": checks}, "my-net", "pytorch", FACTS))


def test_a_proof_is_a_certificate_that_counts():
    made = of(PROOF)
    assert made["passed"] and fault(made, "my-net", "pytorch") is None
    assert [one["quantity"] for one in made["checks"]] == ["evaluation loss"]
    assert made["outcome"] == "equal but for running variance"


def test_models_that_are_different_have_no_certificate_that_passes():
    places = {"first_different": {"keras": "conv", "pytorch": "0"}, "cause": "padding"}
    made = of(PROOF | {"outcome": "different", **places})
    assert not made["passed"] and "first at layer 'conv' in keras.py, '0' in pytorch.py: padding" in made["reason"]
    assert fault(made, "my-net", "pytorch") is None


def test_a_campaign_compares_every_framework_that_builds_a_file(folder):
    told = campaign.config(folder, Path("results"))
    assert told["frameworks"] == ["keras-jax", "keras-tensorflow", "keras-torch", "pytorch"]
    assert told["question"] == ["pytorch", "keras-tensorflow"] and told["results"] == "results/my-net"
    assert told["matrix"][0]["batch_sizes"] == [6]


@pytest.mark.parametrize(
    ("name", "expected"), [("my net <b>", "my-net-b"), ("네트", "model"), (".hidden", "hidden"), ("a" * 80, "a" * 64)]
)
def test_a_folder_of_any_name_has_one_that_paths_and_rules_can_have(tmp_path, name, expected):
    told = campaign.config(made(tmp_path / name, "keras.py"), Path("results"))
    assert list(told["models"]) == [expected] == [told["matrix"][0]["workload"]]


def test_a_campaign_of_keras_alone_asks_nothing(tmp_path):
    told = campaign.config(made(tmp_path / "net", "keras.py"), Path("results"))
    assert told["question"] is None and "pytorch" not in told["frameworks"]


def test_a_campaign_of_pytorch_alone_compares_it_with_itself_tuned(tmp_path):
    told = campaign.config(made(tmp_path / "net", "pytorch.py"), Path("results"))
    assert told["frameworks"] == ["pytorch"] and told["matrix"][0]["tracks"] == ["default", "tuned"]


def test_a_campaign_needs_a_model(tmp_path):
    with pytest.raises(ConfigError, match=r"has neither keras\.py nor pytorch\.py"):
        campaign.config(made(tmp_path / "net"), Path("results"))
