"""Real pairs of models, proved: equal ones match by themselves, every planted difference is named with its layer."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from conftest import PROJECT, wait_for
from framebench import usermodels
from framebench.plan import problem
from framebench.plan.problem import request
from framebench.prove import place, process
from pairs.ours import brought
from pairs.planted import EQUAL, PLANTED, Plant, plant

EXAMPLES = sorted(path.parent for path in (PROJECT / "examples").glob("*/problem.yaml"))
PAIRS = sorted(path.parent for path in EQUAL.glob("*/problem.yaml"))
# Each framework keeps another variance: an honest pair with a batch norm is equal but for that.
OF_FRAMEWORKS = {"running variance"}
KERAS = "import keras\nfrom keras import layers\n\n\n"
TORCH = "import torch\nfrom torch import nn\n\n\n"
GOOD = {
    "keras.py": KERAS
    + "def build():\n    return keras.Sequential([layers.Dense(4, activation='relu'), layers.Dense(1)])\n",
    "pytorch.py": TORCH + "def build():\n    return nn.Sequential(nn.Linear(10, 4), nn.ReLU(), nn.Linear(4, 1))\n",
    "problem.yaml": (
        "input: {shape: [10]}\ntarget: {shape: [1]}\nloss: mean_squared_error\n"
        "optimizer: {name: adam, learning_rate: 0.001}\nbatch_size: 8\n"
    ),
}

SLOW = {"keras.py": "import os\nimport time\n\nprint(f'building in {os.getpid()}')\ntime.sleep(600)\n"}


def pytorch(model: str) -> dict[str, str]:
    return {"pytorch.py": TORCH + f"def build():\n    return {model}\n"}


REFUSED = {
    "no build": ({"keras.py": KERAS}, "keras.py: has no function build()"),
    "nothing returned": ({"pytorch.py": TORCH + "def build():\n    pass\n"}, "pytorch.py: build() returned NoneType"),
    "another input": (pytorch("nn.Linear(11, 1)"), "problem.yaml: input.shape"),
    "another output": (pytorch("nn.Linear(10, 2)"), "target.shape [1] asks for [1]"),
    "another device": (pytorch("nn.Linear(10, 1, device='meta')"), "is on meta"),
    "another type": (pytorch("nn.Linear(10, 1).half()"), "torch.float16"),
    "frozen on both sides": (
        {
            "keras.py": GOOD["keras.py"].replace("Dense(4,", "Dense(4, trainable=False,"),
            "pytorch.py": GOOD["pytorch.py"].replace("nn.Linear(10, 4)", "nn.Linear(10, 4).requires_grad_(False)"),
        },
        "layer 'dense' is frozen (trainable = False)",
    ),
    "not a number": (
        {"pytorch.py": GOOD["pytorch.py"].replace("nn.ReLU()", "Log()") + "\n\nclass Log(nn.Module):\n"
         "    def forward(self, x):\n        return x.log()\n"},
        "gives NaN or infinity at random weights",
    ),
    "random in evaluation": (
        {"pytorch.py": GOOD["pytorch.py"].replace("nn.ReLU()", "Drop()") + "\n\nclass Drop(nn.Module):\n"
         "    def forward(self, x):\n        return nn.functional.dropout(x, 0.5)\n"},
        "two evaluation passes over one batch differ",
    ),
}  # fmt: skip


def answers(folders: Iterable[Path], into: Path) -> list[dict]:
    """The answers for many folders from one process, since importing both frameworks takes longer than most proofs."""
    arguments = []
    for i, folder in enumerate(folders):
        (into / f"{i}.json").write_text(
            json.dumps(request(folder, problem.load(folder), seed=1, threads=1)), encoding="utf-8"
        )
        arguments += [into / f"{i}.json", into / f"answer-{i}.json"]
    python = place.of("pytorch", into, into / "log").python
    command = [python, "-P", "-m", "framebench.prove.inside.pair", *arguments]
    subprocess.run(command, env=process.environment(python, "torch"), check=True, capture_output=True)
    return [json.loads(path.read_text(encoding="utf-8")) for path in arguments[1::2]]


@pytest.fixture(scope="module")
def proofs(tmp_path_factory) -> Callable[[str], dict]:
    """Proofs of all pairs that are equal, by name."""
    folders = [*EXAMPLES, *PAIRS]
    made = answers(folders, tmp_path_factory.mktemp("equal"))
    return dict(zip((folder.name for folder in folders), made, strict=True)).__getitem__


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Callable[[str], dict]:
    into = tmp_path_factory.mktemp("planted")
    made = answers([plant(one, into) for one in PLANTED], tmp_path_factory.mktemp("answers"))
    return dict(zip((one.name for one in PLANTED), made, strict=True)).__getitem__


@pytest.mark.test
@pytest.mark.parametrize("name", [folder.name for folder in [*EXAMPLES, *PAIRS]])
def test_equal_pair_is_matched_and_proved(proofs, name):
    proof = proofs(name)
    assert {one["kind"] for one in proof["differences"]} <= OF_FRAMEWORKS
    assert proof["outcome"] == ("equal_but" if proof["differences"] else "equal")
    assert all(check["passed"] for check in proof["checks"])
    controls = [check for check in proof["checks"] if check["quantity"].startswith("control")]
    assert controls and all(check["difference"] > check["bound"] for check in controls)
    assert proof["parameters"]["keras"] == proof["parameters"]["pytorch"]


@pytest.mark.all
@pytest.mark.parametrize("one", PLANTED, ids=lambda one: one.name)
def test_planted_difference_is_named_with_its_layer(planted, one: Plant):
    proof = planted(one.name)
    assert proof["outcome"] == one.outcome
    if one.outcome == "different":
        found = [proof["first_different"] | {"words": proof["cause"]}]
    else:
        found = [difference | {"words": difference["kind"]} for difference in proof["differences"]]
        found = [difference for difference in found if difference["words"] not in OF_FRAMEWORKS] or found
    assert any(
        (not one.keras or first["keras"] in one.keras)
        and (not one.pytorch or first["pytorch"] in one.pytorch)
        and any(word in (first["words"] or "").lower() for word in one.cause)
        for first in found
    ), found


@pytest.mark.test
def test_bad_models_are_refused_in_one_line_each(tmp_path):
    folders = []
    for name, (files, _) in REFUSED.items():
        folders.append(written(tmp_path / name, files))
    (tmp_path / "answers").mkdir()
    for answer, (_, line) in zip(answers(folders, tmp_path / "answers"), REFUSED.values(), strict=True):
        assert line in answer["refused"] and "\n" not in answer["refused"]


@pytest.mark.test
def test_command_writes_proof_and_page_and_ends_by_its_outcome(tmp_path):
    folder = written(tmp_path / "my net", {})
    result = prove(folder, tmp_path)
    assert (result.returncode, result.stdout.splitlines()[0]) == (0, "my net: equal"), result.stderr
    proof = json.loads((tmp_path / "results" / "my net" / "proof.json").read_text(encoding="utf-8"))
    assert proof["outcome"] == "equal" and proof["folder_digest"] == usermodels.digest(folder)
    assert (tmp_path / "results" / "my net" / "proof.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert not list(folder.glob("__pycache__"))

    (folder / "pytorch.py").write_text(GOOD["pytorch.py"].replace("nn.ReLU()", "nn.Tanh()"), encoding="utf-8")
    result = prove(folder, tmp_path)
    assert result.returncode == 1
    assert "different, first at layer 'dense' in keras.py, '0' in pytorch.py: activation: relu" in result.stdout

    (folder / "keras.py").write_text("def build():\n    raise ValueError('mine')\n", encoding="utf-8")
    result = prove(folder, tmp_path)
    assert result.returncode == 2
    assert "my net/keras.py: build() raised ValueError: mine\n" in result.stderr and "line 2, in build" in result.stderr
    assert not (tmp_path / "results" / "my net" / "proof.json").exists()


@pytest.mark.test
def test_model_that_never_comes_is_given_up(tmp_path):
    folder = written(tmp_path / "slow", SLOW)
    result = prove(folder, tmp_path, "--time-limit", "2")
    assert result.returncode == 2 and "no answer within 2 s" in result.stderr


@pytest.mark.test
def test_words_of_a_model_are_in_the_log_while_it_runs_and_an_interrupt_ends_it_in_a_line(tmp_path):
    """No time limit here: loading two frameworks has taken more than 12 s on a busy machine."""
    command = proving(written(tmp_path / "slow", SLOW), tmp_path)
    log = tmp_path / "results" / "slow" / "prove.log"
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True, encoding="utf-8") as proof:
        (own,) = wait_for(lambda: log.exists() and re.findall(r"^building in (\d+)$", log.read_text("utf-8"), re.M))
        proof.send_signal(signal.SIGINT)
        _, said = proof.communicate()
    assert (proof.returncode, said) == (-signal.SIGINT, "interrupted\n")
    assert not Path("/proc", own).exists()


def written(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in (GOOD | files).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def proving(folder: Path, into: Path, *options: str) -> list[str | Path]:
    return [sys.executable, "-P", "-m", "framebench.prove", folder, "--results", into / "results", *options]


def prove(folder: Path, into: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = proving(folder, into, *options)
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, encoding="utf-8")


@pytest.mark.test
def test_pairs_of_weights_yaml_are_kept_to(tmp_path):
    """A user's wrong pair is not repaired: the proof names the place where the models then differ."""
    folder = tmp_path / "branches"
    shutil.copytree(EQUAL / "inception", folder)
    (folder / "weights.yaml").write_text("conv2d_1: mixed1.three.0.0\n", encoding="utf-8")
    (tmp_path / "answers").mkdir()
    (proof,) = answers([folder], tmp_path / "answers")
    assert proof["outcome"] == "different"


@pytest.mark.test
@pytest.mark.parametrize(
    ("workload", "differences"),
    [
        ("article-cnn", set()),
        ("vgg-cnn", set()),
        pytest.param("gru-imdb", set(), marks=pytest.mark.all),
    ],
)
def test_net_of_ours_is_equal_as_if_a_user_had_brought_it(workload, differences, tmp_path):
    (tmp_path / "answers").mkdir()
    (proof,) = answers([brought(workload, tmp_path)], tmp_path / "answers")
    assert {one["kind"] for one in proof["differences"]} == differences
    assert proof["outcome"] == ("equal_but" if differences else "equal")
    assert all(check["passed"] for check in proof["checks"])


@pytest.mark.test
def test_gradient_that_is_wrong_in_float32_only_is_seen_though_its_size_is_right(tmp_path):
    module = (
        "class Turned(nn.Module):\n    def forward(self, x):\n"
        "        if x.dtype == torch.float32 and x.requires_grad:\n            x.register_hook(torch.neg)\n"
        "        return x.relu()\n\n\n"
    )
    text = GOOD["pytorch.py"].replace("nn.ReLU()", "Turned()").replace("def build", f"{module}def build")
    (tmp_path / "answers").mkdir()
    (proof,) = answers([written(tmp_path / "turned", {"pytorch.py": text})], tmp_path / "answers")
    assert (proof["outcome"], proof["cause"]) == ("different", "in float32 only: evaluation gradient of PyTorch")


@pytest.mark.all
@pytest.mark.usefixtures("installed")
def test_requirements_of_a_folder_are_installed_on_top_of_the_lock(workspace, tmp_path_factory):
    (workspace.folder / ".venvs").unlink()
    (workspace.folder / ".venvs").mkdir()
    for one in (PROJECT / ".venvs").iterdir():
        (workspace.folder / ".venvs" / one.name).symlink_to(one)
    text = GOOD["keras.py"].replace("import keras\n", "import keras\nimport slugify\n")
    files = {"keras.py": text, "requirements.txt": "python-slugify==8.0.4\n"}
    folder = written(tmp_path_factory.mktemp("user") / "mine", files)
    command = [sys.executable, "-P", "-m", "framebench.prove", folder]
    result = workspace.run("env", f"PYTHONPATH={workspace.folder / 'workflow'}", *command)
    assert (result.returncode, result.stdout.splitlines()[:1]) == (0, ["mine: equal"]), result.stderr
    told = json.loads((workspace.folder / "results" / "mine" / "proof.json").read_text(encoding="utf-8"))[
        "requirements"
    ]
    assert "python-slugify==8.0.4" in told["packages"] and not any(one.startswith("torch") for one in told["packages"])
    assert (workspace.folder / ".venvs" / told["environment"]).is_dir()
    assert "setting up" in result.stderr
    # A version other than the lock's is refused.
    (folder / "requirements.txt").write_text("numpy==1.26.0\n", encoding="utf-8")
    result = workspace.run("env", f"PYTHONPATH={workspace.folder / 'workflow'}", *command)
    assert result.returncode == 2 and f"{folder}/requirements.txt: not installed: " in result.stderr
    assert "numpy" in result.stderr.splitlines()[-1]


@pytest.mark.all
@pytest.mark.usefixtures("every_environment")
def test_keras_alone_is_proved_on_every_backend(tmp_path):
    folder = written(tmp_path / "alone", {})
    (folder / "pytorch.py").unlink()
    result = prove(folder, tmp_path)
    assert result.returncode == 0 and "on Keras's backends torch, tensorflow, jax" in result.stdout, result.stderr
    text = GOOD["keras.py"].replace("'relu'", "'relu' if keras.backend.backend() == 'torch' else 'tanh'")
    (folder / "keras.py").write_text(text, encoding="utf-8")
    result = prove(folder, tmp_path)
    assert result.returncode == 1 and "evaluation logits of Keras on tensorflow differs" in result.stdout
