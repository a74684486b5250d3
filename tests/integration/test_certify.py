"""Certificates made by the real frameworks: equal models pass, every planted fault is refused and named."""

from pathlib import Path

import pytest

from framebench import catalogue
from planted_faults import OF_NEWER, Outcome, outcomes, plant, plant_all, prepare

FRAMEWORKS = catalogue.frameworks()
# Those of config.yaml.
FIRST_THREE = sorted(set(FRAMEWORKS) - OF_NEWER.keys())

# In PyTorch every fault is planted here, in the others one of each kind; `tests/planted_faults.py` plants the rest.
CANNOT_BE_BUILT = ("a weight of the wrong shape", "a layer missing in the model file")
PLANTED = {
    "tensorflow": ("none", "a ReLU missing", "momentum dropped", "dropout off in training", *CANNOT_BE_BUILT),
    "keras-tensorflow": (
        *("none", "momentum dropped", "epsilon where Keras has it", "rows of a gradient squared apart"),
        *CANNOT_BE_BUILT,
    ),
    "jax": ("article-cnn: none", "gru-imdb: none", "momentum dropped", *CANNOT_BE_BUILT),
    "keras-jax": ("article-cnn: none", "momentum dropped", *CANNOT_BE_BUILT),
    "keras-torch": ("article-cnn: none", "gru-imdb: none", "epsilon where Keras has it", *CANNOT_BE_BUILT),
}

# Fault → quantity and layer that the certificate must name first, whatever the framework.
FIRST = {
    "BGR for RGB in the model file": ("float64 evaluation input", "conv1"),
    "average for max pooling": ("float64 evaluation input", "conv2"),
    "a ReLU missing": ("float64 evaluation input", "dense1"),
    "flatten in C, H, W order": ("float64 evaluation input", "dense1"),
    "dropout left on in evaluation": ("float64 evaluation input", "conv3"),
    "`same` for `valid`": ("FLOPs of the forward pass", ""),
    "a ReLU after the last layer": ("float64 evaluation logits", ""),
    "softmax applied twice": ("float64 evaluation logits", ""),
    "loss summed over the batch": ("float64 evaluation loss", ""),
    "labels off by one": ("float64 gradient", "conv1/kernel"),
    "BGR for RGB": ("float64 gradient", "conv1/kernel"),
    "a NaN among the images": ("float64 gradient", "conv1/kernel"),
    "learning rate × 1.01": ("float64 update after 1 step", "conv1/kernel"),
    "Nesterov momentum": ("float64 update after 1 step", "conv1/kernel"),
    "weight decay 1e-4": ("float64 update after 1 step", "conv1/kernel"),
    "epsilon 1e-7": ("float64 update after 1 step", "embedding/embeddings"),
    "epsilon where Keras has it": ("float64 update after 1 step", "embedding/embeddings"),
    "rows of a gradient squared apart": ("float64 update after 3 steps", "embedding/embeddings"),
    "gates in another order": ("float64 evaluation input", "dense1"),
    "momentum dropped": ("float64 update after 3 steps", "conv1/kernel"),
    "momentum 0.901": ("float64 update after 3 steps", "conv1/kernel"),
    "dropout off in training": ("share dropped", "dropout 1"),
    "dropout rates 0.3": ("share dropped", "dropout 1"),
    "shuffled labels of the lesson": ("float32 accuracy", ""),
    "learning rate × 3 of the lesson": ("float32 accuracy", ""),
}


@pytest.fixture(scope="module")
def found(installed: None, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return plant_all(tmp_path_factory.mktemp("planted"), PLANTED)


def test_what_is_not_planted_passes(found):
    unplanted = [one for one in found if one.fault == "none"]
    assert [(one.workload, one.framework, one.reason) for one in unplanted if not one.passed] == []
    assert {(one.workload, one.framework) for one in unplanted} == {
        *(("article-cnn", framework) for framework in FRAMEWORKS),
        # Of Keras on JAX, which compiles for minutes, the conformance suite has seen it compute.
        *(("gru-imdb", framework) for framework in FRAMEWORKS if framework != "keras-jax"),
        *(("vgg-cnn", framework) for framework in FIRST_THREE),
    }


def test_every_planted_fault_is_refused(found):
    assert [one for one in found if one.fault != "none" and one.passed] == []


def test_every_fault_is_named_by_what_differs_first(found):
    assert FIRST.keys() <= {one.fault for one in found}
    for one in found:
        if one.fault in FIRST:
            assert one.check, one
            quantity, layer = f"{one.check['precision']} {one.check['quantity']}".strip(), one.check["layer"]
            assert (quantity, layer) == FIRST[one.fault], one
            assert one.reason.startswith(f"{quantity} of {layer}" if layer else quantity)


def test_what_cannot_be_built_is_named_with_workload_framework_and_layer(found):
    reasons = {(one.framework, one.fault): one.reason for one in found if one.fault in CANNOT_BE_BUILT}
    assert len(reasons) == len(CANNOT_BE_BUILT) * len(FRAMEWORKS)
    for (framework, _), reason in reasons.items():
        assert reason.startswith(f"article-cnn in {framework}: ValueError: layer conv2: ")
        assert "\n" not in reason


@pytest.fixture(scope="module")
def other_seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders with the problems of other seeds, of the small net."""
    folders = []
    for seed in (2, 3):
        folders.append(tmp_path_factory.mktemp(f"seed-{seed}-"))
        prepare(folders[-1], "article-cnn", seed, samples=0)
    return folders


@pytest.mark.parametrize("framework", FIRST_THREE)
def test_equal_models_pass_with_other_seeds(framework, installed, other_seeds):
    plant(framework, *other_seeds, only=["none"])
    for folder in other_seeds:
        (found,) = outcomes(folder, framework)
        assert found.passed, (folder.name, found)


def test_of_a_net_of_inference_the_same_passes_and_another_epsilon_is_refused(installed, tmp_path):
    prepare(tmp_path, "resnet50-features", seed=1, samples=0)
    plant("pytorch", tmp_path, only=["resnet50-features: none", "epsilon 1e-3 of a batch norm"])
    same, other = sorted(outcomes(tmp_path, "pytorch"), key=lambda one: not one.passed)
    assert (same.fault, same.passed) == ("none", True)
    assert (other.fault, other.passed) == ("epsilon 1e-3 of a batch norm", False)
    assert other.reason.startswith("float64 evaluation input of layer1.0.conv1 differs by ")


def test_the_workflow_writes_a_certificate_and_a_page_and_proves_again_only_what_changed(certified_workspace):
    workspace = certified_workspace
    pages = sorted((workspace.folder / "results" / "certificates" / "article-cnn").glob("*.md"))
    assert [page.stem for page in pages] == FIRST_THREE
    for page in pages:
        assert "**passed**" in page.read_text(), page
    assert workspace.plan("certificates").jobs == {}
    append(workspace.folder / "workflow/framebench/workloads/article_cnn/pytorch.py", "# as ever\n")
    planned = workspace.plan("certificates").jobs
    assert (planned["observe"], planned["certificate"], planned.get("expected")) == (1, 1, None)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)
