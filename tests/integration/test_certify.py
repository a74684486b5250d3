"""Certificates made by the real frameworks: equal models pass, every planted fault is refused and named."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from conftest import DEFAULT, TINY, Workspace, append, copy_of, made_once
from planted_faults import TRAINING, Outcome, declared, outcomes, plant, prepare, tell, try_plants

pytestmark = pytest.mark.test

CANNOT_BE_BUILT = ("a weight of the wrong shape", "a layer missing in the model file")
# One fault for each kind of check that the judge makes, in one framework; `make test-all` plants the others there.
PLANTED_FIRST = "pytorch"
OF_EACH_KIND = (
    *("article-cnn: none", "vgg-cnn: none", "a weight of the wrong shape", "`same` for `valid`", "a ReLU missing"),
    *("softmax applied twice", "loss summed over the batch", "labels off by one", "learning rate × 1.01"),
    *("momentum 0.901", "dropout rates 0.3", "article-cnn: shuffled labels of the lesson"),
)
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
    "learning rate × 10 of the lesson": ("float32 accuracy", ""),
}


@pytest.fixture(scope="session")
def problem(tmp_path_factory) -> Callable[[str], Path]:
    """The folder with a workload's problem, the reference's values, and the samples to learn from."""

    def made(workload: str, seed: int = 1) -> Path:
        samples = TRAINING.get(workload, 0) if seed == 1 else 0
        return made_once(
            f"problem-{workload}-{seed}",
            lambda folder: prepare(folder, workload, seed=seed, samples=samples),
            tmp_path_factory,
        )

    return made


def planted(framework: str, only: Sequence[str], folder: Path, *problems: Path) -> list[Outcome]:
    """The judge's outcomes of these faults in a framework, observed in one process."""
    for path in {path.name: path for problem in problems for path in problem.iterdir()}.values():
        (folder / path.name).symlink_to(path)
    plant(framework, folder, only=only)
    return list(outcomes(folder, framework))


@pytest.fixture(scope="module")
def of_each_kind(installed, problem, tmp_path_factory) -> list[Outcome]:
    problems = problem("article-cnn"), problem("vgg-cnn")
    return planted(PLANTED_FIRST, OF_EACH_KIND, tmp_path_factory.mktemp("of-each-kind"), *problems)


def groups(frameworks: Sequence[str]) -> list:
    """The frameworks as parameters, all tests of one framework in one process."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"{name} planted")) for name in frameworks]


# The table in docs/planted-faults.md has the plants of all frameworks.
@pytest.fixture(scope="module", params=groups(DEFAULT))
def of_framework(request, installed, problem, tmp_path_factory) -> list[Outcome]:
    framework = request.param
    problems = map(problem, ("article-cnn", "vgg-cnn", "gru-imdb"))
    # The honest VGG net is certified by a test of its own, below.
    left_out = OF_EACH_KIND if framework == PLANTED_FIRST else ("vgg-cnn: none",)
    only = [*declared(framework, "PLANTED"), *(f"-{name}" for name in left_out)]
    return planted(framework, only, tmp_path_factory.mktemp("planted"), *problems)


def assert_refused(found: list[Outcome]) -> None:
    """Every fault is refused, and the first difference is named."""
    for one in found:
        assert one.passed == (one.fault == "none"), one
        if one.fault in CANNOT_BE_BUILT:
            assert one.reason.startswith(f"article-cnn in {one.framework}: ValueError: layer conv2: ")
            assert "\n" not in one.reason
        elif one.fault in FIRST:
            assert one.check, one
            quantity, layer = f"{one.check['precision']} {one.check['quantity']}".strip(), one.check["layer"]
            assert (quantity, layer) == FIRST[one.fault], one
            assert one.reason.startswith(f"{quantity} of {layer}" if layer else quantity)


def test_each_kind_of_check_refuses_its_fault(of_each_kind):
    assert len(of_each_kind) == len(OF_EACH_KIND)
    assert_refused(of_each_kind)


@pytest.mark.all
def test_every_planted_fault_is_refused_and_named_by_what_differs_first(of_framework):
    assert {one.fault for one in of_framework} - {"none"}
    assert_refused(of_framework)


# One plant of each kind that no certificate sees, as its batches are small and its steps few.
SEEN_IN_RUNS = (
    "half of the batch twice, above batch 16",
    "labels off by one, above batch 16 with input host",
    "a step told as two, from step 15 on",
    "no step kept, from step 15 on",
    "learning rate 20 % higher, above batch 16",
    "no momentum, above batch 16",
    "bfloat16, above batch 16",
    "twice the threads, above batch 16",
    "a product times zero, above batch 16",
    "the first ten batches again, above batch 16",
    "every second step not kept, above batch 16 from step 15 on",
)


@pytest.mark.all
@pytest.mark.parametrize("framework", groups(DEFAULT))
def test_a_run_refuses_work_that_differs_in_runs_alone(framework, installed, problem, tmp_path):
    for path in problem("article-cnn").iterdir():
        (tmp_path / path.name).symlink_to(path)
    tell(tmp_path, "article-cnn")
    plants = SEEN_IN_RUNS if framework == PLANTED_FIRST else SEEN_IN_RUNS[::4]
    found = {one.plant: one for one in try_plants(tmp_path, framework, "article-cnn", ["none", *plants])}
    assert found.keys() == {"none", *plants}
    assert {one.certificate for one in found.values()} == {None}
    assert found["none"].run is None
    for name in plants:
        assert found[name].run, name


@pytest.mark.all
@pytest.mark.parametrize("framework", groups(DEFAULT))
def test_equal_models_pass_with_another_seed(framework, installed, problem, tmp_path):
    (found,) = planted(framework, ["none"], tmp_path, problem("article-cnn", 2))
    assert found.passed, found


@pytest.mark.all
@pytest.mark.xdist_group("resnet planted")
def test_inference_certificate_rejects_another_epsilon(installed, problem, tmp_path):
    faults = ["resnet50-features: none", "epsilon 1e-3 of a batch norm"]
    same, other = sorted(
        planted("pytorch", faults, tmp_path, problem("resnet50-features")), key=lambda one: not one.passed
    )
    assert (same.fault, same.passed) == ("none", True)
    assert (other.fault, other.passed) == ("epsilon 1e-3 of a batch norm", False)
    assert other.reason.startswith("float64 evaluation input of layer1.0.conv1 differs by ")


@pytest.mark.xdist_group("certificates of vgg-cnn")
def test_the_default_frameworks_are_certified_on_the_vgg_net(certified, tmp_path):
    workspace = copy_of(certified, tmp_path)
    (entry,) = TINY["matrix"]
    workspace.configure(matrix=[entry | {"workload": "vgg-cnn"}])
    result = workspace.snakemake("certificates")
    assert result.returncode == 0, result.stdout + result.stderr
    assert_certified(workspace, "vgg-cnn")


def assert_certified(workspace: Workspace, workload: str) -> None:
    pages = sorted((workspace.folder / "results" / "certificates" / workload).glob("*.md"))
    assert [page.stem for page in pages] == DEFAULT
    for page in pages:
        assert "**passed**" in page.read_text(encoding="utf-8"), page


def test_the_workflow_writes_a_certificate_and_a_page_and_proves_again_only_what_changed(certified_workspace):
    workspace = certified_workspace
    assert_certified(workspace, "article-cnn")
    assert workspace.plan("certificates").jobs == {}
    append(workspace.folder / "workflow/framebench/workloads/article_cnn/pytorch.py", "# as ever")
    planned = workspace.plan("certificates").jobs
    assert (planned["observe"], planned["certificate"], planned.get("expected")) == (1, 1, None)
