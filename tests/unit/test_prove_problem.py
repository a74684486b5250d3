"""A user's problem.yaml is read strictly: every mistake gives one line with file, key and the allowed values."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from framebench import usermodels
from framebench.plan import problem
from framebench.plan.refusals import ConfigError

pytestmark = pytest.mark.check

IMAGES = {
    "input": {"shape": [32, 32, 3], "type": "float32"},
    "target": {"classes": 10},
    "loss": "softmax_cross_entropy",
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "batch_size": 64,
}
ADAM = {"name": "adam", "learning_rate": 0.001}
TOKENS = {"shape": [150], "type": "int64"}
REFUSED = [
    ({"loss": "mse"}, "loss: 'mse' is not allowed; softmax_cross_entropy, mean_squared_error or binary_cross_entropy"),
    ({"loss": "mean_squared_error"}, "target.classes: the loss mean_squared_error takes floats"),
    ({"target": {"shape": [1]}}, "target.classes: is missing; the loss softmax_cross_entropy needs"),
    ({"target": {}}, "target: is empty; allowed: {classes: 10}, or {shape: [1]} for floats"),
    ({"target": {"classes": 1}}, "target.classes: 1 is not allowed; a whole number from 2"),
    ({"target": {"clases": 3}}, "target.clases: unknown key; did you mean 'classes'?"),
    ({"inputs": 1}, "inputs: unknown key; did you mean 'input'?"),
    ({"input": {"shape": []}}, "input.shape: an empty list is not allowed; a list of sizes without the batch"),
    ({"input": {"shape": [32, "a"]}}, "input.shape[1]: 'a' is text, which is not allowed; a whole number"),
    ({"input": TOKENS}, "input.below: is missing; of type int64, the number of tokens is needed"),
    ({"input": IMAGES["input"] | {"below": 5}}, "input.below: is for tokens"),
    ({"optimizer": {"name": "rmsprop", "learning_rate": 1.0}}, "optimizer.name: 'rmsprop' is not allowed; sgd, adam"),
    ({"optimizer": {"name": "sgd"}}, "optimizer.learning_rate: is missing"),
    ({"optimizer": ADAM | {"momentum": 0.9}}, "optimizer.momentum: adam has none; allowed: only with"),
    ({"optimizer": ADAM | {"weight_decay": 0.1}}, "optimizer.weight_decay: adam has none"),
    ({"optimizer": ADAM | {"epsilon": {"keras": 1e-7}}}, "optimizer.epsilon.pytorch: is missing"),
    ({"batch_size": 0}, "batch_size: 0 is not allowed"),
    ({"keras": {"file": "../other.py"}}, "keras.file: '../other.py' is not allowed; the name of a Python file"),
]


@pytest.fixture
def folder(tmp_path) -> Callable[..., Path]:
    def made(**changes: object) -> Path:
        (tmp_path / "problem.yaml").write_text(yaml.safe_dump(IMAGES | changes), encoding="utf-8")
        return tmp_path

    return made


@pytest.mark.parametrize(("changes", "line"), REFUSED, ids=[line for _, line in REFUSED])
def test_mistake_is_refused_in_one_line_with_file_and_key(folder, changes, line):
    with pytest.raises(ConfigError) as caught:
        problem.load(folder(**changes))
    message = str(caught.value)
    assert f"problem.yaml: {line}" in message and "\n" not in message


def test_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"is no folder; MODEL must be one with problem\.yaml"):
        problem.load(tmp_path / "none")


def test_problem_of_the_issue_is_read_with_the_defaults_of_its_optimizer(folder):
    read = problem.load(folder())
    assert read.input.shape == (32, 32, 3) and read.target.classes == 10
    assert problem.optimizer(read) == {"name": "sgd", "learning_rate": 0.01, "momentum": 0.0}
    adam = problem.optimizer(problem.load(folder(optimizer=ADAM)))
    assert (adam["beta_1"], adam["beta_2"], adam["epsilon"]) == (0.9, 0.999, problem.DEFAULT_EPSILON)


def test_file_and_function_may_have_other_names(folder):
    path = folder(keras={"file": "net.py", "function": "Net"})
    (path / "net.py").touch()
    (path / "pytorch.py").touch()
    assert problem.files(path, problem.load(path)) == {
        "keras": {"file": "net.py", "function": "Net"},
        "pytorch": {"file": "pytorch.py", "function": "build"},
    }


def test_named_file_that_is_missing_is_refused(folder):
    path = folder(pytorch={"file": "net.py"})
    with pytest.raises(ConfigError, match=r"pytorch\.file: 'net\.py' is not in the folder"):
        problem.files(path, problem.load(path))


def test_weights_yaml_holds_pairs_of_names(folder):
    path = folder()
    assert problem.weights(path) == {}
    (path / "weights.yaml").write_text("conv1: features.0\n", encoding="utf-8")
    assert problem.weights(path) == {"conv1": "features/0"}
    (path / "weights.yaml").write_text("conv1: [1]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"weights\.yaml: conv1: a list is not allowed"):
        problem.weights(path)


def test_digest_changes_with_any_file_but_not_with_caches(folder):
    path = folder()
    before = usermodels.digest(path)
    (path / "__pycache__").mkdir()
    (path / "__pycache__" / "keras.pyc").touch()
    (path / ".notes").touch()
    assert usermodels.digest(path) == before
    (path / "width.txt").write_text("7", encoding="utf-8")
    assert usermodels.digest(path) != before
