"""The results of a net's layers show their precision, whatever was requested and whatever any flag says."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from framebench import workloads
from framebench.certify import reference
from framebench.certify.arithmetic import Arithmetic
from framebench.measure import footprint
from framebench.plan import catalogue
from framebench.workloads.layers import BatchNorm, Conv, GlobalAveragePool, Layer, MaxPool, Residual, Workload

pytestmark = pytest.mark.check

Rounding = Callable[[np.ndarray], np.ndarray]


def to_bits(dropped: int, cut: bool) -> Rounding:
    """Float32 numbers without the last `dropped` bits of their significand, cut off or rounded to the nearest, even."""

    def rounded(array: np.ndarray) -> np.ndarray:
        bits = array.astype(np.float32).view(np.uint32).astype(np.uint64)
        if not cut:
            bits += (1 << dropped - 1) - 1 + (bits >> dropped & 1)
        return (bits >> dropped << dropped).astype(np.uint32).view(np.float32)

    return rounded


ROUNDINGS: list[tuple[str, Rounding]] = [
    ("float32", lambda array: array.astype(np.float32)),
    ("tf32", to_bits(13, cut=False)),
    ("tf32", to_bits(13, cut=True)),
    ("bfloat16", to_bits(16, cut=False)),
    ("bfloat16", to_bits(16, cut=True)),
    ("float16", lambda array: array.astype(np.float16).astype(np.float32)),
]
FLOAT32, TF32, _, BFLOAT16, _, FLOAT16 = (rounding for _, rounding in ROUNDINGS)


class Rounded:
    """A trainer whose layers round their kernels, each in its own way; what reaches them no type would round."""

    def __init__(self, workload: Workload, roundings: Mapping[str, Rounding]) -> None:
        self.workload, self.roundings = workload, roundings
        self.kernels: dict[str, np.ndarray] = {}

    def load(self, weights: dict[str, np.ndarray]) -> None:
        self.kernels = {
            name: self.roundings[name.removesuffix("/kernel")](array) if name.endswith("kernel") else array
            for name, array in weights.items()
        }

    def logits(self, images: np.ndarray) -> np.ndarray:
        return reference.forward(self.workload, self.kernels, images, Arithmetic())[0]


def small_residual_net() -> Workload:
    """Two blocks, one with a projection and a stride, whose passes are two as there are more kernels than channels."""

    def body(name: str, stride: int) -> tuple[Layer, ...]:
        return (
            Conv(f"{name}.conv1", 12, 1, "same", bias=False, relu=False),
            BatchNorm(f"{name}.bn1", relu=True, epsilon=1e-5),
            Conv(f"{name}.conv2", 24, 3, "same", stride, bias=False, relu=False),
            BatchNorm(f"{name}.bn2", relu=False, epsilon=1e-5),
        )

    projection = Conv("a.projection", 24, 1, "same", 2, bias=False, relu=False), BatchNorm("a.bn", False, epsilon=1e-5)
    layers = Conv("conv", 12, 3, "same", 2), MaxPool(3, 2, "same"), Residual(body("a", 2), projection)
    return Workload(
        "residual", "images", (16, 16, 3), (*layers, Residual(body("b", 1), ()), GlobalAveragePool()), None, 1
    )


RESIDUAL = small_residual_net()
# The large residual net would take minutes; the conformance suite covers it in its own frameworks.
WORKLOADS = [workloads.load(name) for name in catalogue.workloads() if name != "resnet50-features"] + [RESIDUAL]


def found(workload: Workload, roundings: Mapping[str, Rounding]) -> dict[str, str]:
    return footprint.found(Rounded(workload, roundings), workload, 2)  # type: ignore[arg-type]


def layers(workload: Workload) -> list[str]:
    return [kernel.removesuffix("/kernel") for kernel in footprint.kernels(workload)]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
@pytest.mark.parametrize(("precision", "rounding"), ROUNDINGS)
def test_every_layer_of_every_workload_shows_the_precision_that_it_rounds_to(workload, precision, rounding):
    names = layers(workload)
    assert found(workload, dict.fromkeys(names, rounding)) == dict.fromkeys(names, precision)


SINGLE = [
    pytest.param(workload, layer, id=f"{workload.name}-{layer}")
    for workload in (workloads.load("article-cnn"), RESIDUAL)
    for layer in layers(workload)
]


@pytest.mark.parametrize(("precision", "rounding"), ROUNDINGS[1:])
@pytest.mark.parametrize(("workload", "layer"), SINGLE)
def test_a_single_layer_in_another_precision_stands_out(workload, layer, precision, rounding):
    roundings = dict.fromkeys(layers(workload), FLOAT32) | {layer: rounding}
    assert found(workload, roundings) == dict.fromkeys(layers(workload), "float32") | {layer: precision}


@pytest.mark.parametrize(("workload", "layer"), SINGLE)
def test_a_single_layer_left_in_float32_stands_out(workload, layer):
    roundings = dict.fromkeys(layers(workload), BFLOAT16) | {layer: FLOAT32}
    assert found(workload, roundings)[layer] == "float32"


def test_several_kernels_of_a_residual_net_are_tested_in_one_pass():
    passes = footprint.passes(workloads.load("resnet50-features"))
    assert [len(one) for one in passes] == [10, 10, 10, 10, 10, 3]
    assert [len(one) for one in footprint.passes(RESIDUAL)] == [2, 2, 2]


def test_factors_are_rounded_in_each_type_as_the_bounds_say():
    factors = np.array([1 + 2.0**-9, 1 + 2.0**-13, 2.0**-30])
    assert list(TF32(factors)) == [1 + 2.0**-9, 1, 2.0**-30]
    assert list(BFLOAT16(factors)) == [1, 1, 2.0**-30]
    assert list(FLOAT16(factors)) == [1 + 2.0**-9, 1, 0]


@pytest.mark.parametrize("results", [np.zeros((2, 4)), np.full((2, 4), np.nan), np.ones((2, 4))])
def test_results_of_no_known_precision_are_not_taken_for_one(results):
    assert footprint.precision(results) == footprint.UNKNOWN


@pytest.mark.parametrize("noise", [-1e-5, 1e-5])
def test_the_noise_of_a_transform_hides_nothing(noise):
    ones = np.array([1, 1, 1, 0])  # a factor alone keeps its own size
    assert footprint.precision(footprint.RESULTS * np.ones((2, 4)) + noise * ones) == "float32"
    assert footprint.precision(footprint.RESULTS * [1, 1, 0, 1] + noise * ones * np.ones((2, 4))) == "tf32"


def test_images_of_one_batch_that_disagree_show_no_precision():
    results = np.stack([footprint.RESULTS, [1, 0, 0, 2.0**-30]])
    assert footprint.precision(results) == footprint.UNKNOWN


@pytest.mark.parametrize("asked", ["float32", "tf32", "bfloat16", "float16"])
@pytest.mark.parametrize("seen", ["float32", "tf32", "bfloat16", "float16", footprint.UNKNOWN])
def test_another_precision_than_the_one_asked_for_contradicts_it(asked, seen):
    told = footprint.contradiction(asked, {"conv1": seen, "dense1": seen})
    if seen == asked:
        assert told is None
    else:
        assert told == f"precision {asked} was requested, but the numbers are those of {seen}"


def test_tf32_may_leave_layers_in_float32_but_not_all_and_nothing_else_may_be_mixed():
    mixed = {"conv1": "tf32", "dense1": "float32"}
    assert footprint.contradiction("tf32", mixed) is None
    assert footprint.contradiction("float32", mixed) == (
        "precision float32 was requested, but the numbers are those of conv1 tf32, dense1 float32"
    )
    assert footprint.contradiction("tf32", {"conv1": "tf32", "dense1": "bfloat16"})
    assert footprint.contradiction("bfloat16", {"conv1": "bfloat16", "dense1": "float32"})
