"""The reference computes the spec's function: checked by hand counts and finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.certify import reference
from framebench.certify.arithmetic import Arithmetic
from framebench.certify.reference import ReferenceError
from framebench.workloads.layers import (
    GRU,
    SGD,
    Adam,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    Residual,
    Workload,
)

pytestmark = pytest.mark.check

MOMENTUM = SGD(0.1, 0.9)


def workload(*layers, shape=(6, 6, 2), optimizer=MOMENTUM) -> Workload:
    return Workload("tiny", "images", shape, layers, optimizer, article_batch_size=1)


@st.composite
def specs(draw) -> Workload:
    """One or two convolutions, either padding, kernels and strides up to 3, pools between, one or two dense layers."""
    shape = (11, 10, 2)
    layers: list[Conv | MaxPool | Dropout | Flatten | Dense] = []
    for i in range(draw(st.integers(1, 2))):
        side = min((workload(*layers, shape=shape).shapes[-1] if layers else shape)[:2])
        layers.append(
            Conv(
                f"conv{i}",
                draw(st.integers(1, 3)),
                draw(st.integers(1, min(3, side))),
                draw(st.sampled_from(["same", "valid"])),
                stride=draw(st.integers(1, 3)),
                bias=draw(st.booleans()),
                relu=draw(st.booleans()),
            )
        )
        if draw(st.booleans()) and min(workload(*layers, shape=shape).shapes[-1]) > 1:
            layers.append(MaxPool(2))
        if draw(st.booleans()):
            layers.append(Dropout(0.5))
    layers.append(Flatten())
    if draw(st.booleans()):
        layers.append(Dense("hidden", 4, relu=True))
    layers.append(Dense("logits", 3, relu=False))
    return workload(*layers, shape=shape)


@st.composite
def reading_specs(draw) -> Workload:
    """An embedding, one or no GRU after a sequence of 1 to 5 tokens, logits."""
    gru = GRU("gru", draw(st.integers(1, 4)))
    return workload(
        Embedding("embedding", tokens=6, size=draw(st.integers(1, 3))),
        gru,
        Dense("logits", 3, relu=False),
        shape=(draw(st.integers(1, 5)),),
    )


def tiny_problem(spec: Workload, seed: int):
    generator = np.random.Generator(np.random.PCG64(seed))
    weights = {name: generator.normal(size=shape) for name, shape in spec.weight_shapes.items()}
    images = generator.random((3, *spec.input_shape))
    if spec.tokens:
        images = (spec.tokens * images).astype(np.int64)
    labels = generator.integers(0, spec.shapes[-1][0], 3)
    return weights, images, labels


def loss_of(spec, weights, images, labels) -> float:
    logits, _ = reference.forward(spec, weights, images, Arithmetic())
    return reference.cross_entropy(logits, labels, Arithmetic())[0]


@settings(max_examples=40)
@given(specs() | reading_specs(), st.integers(0, 10**6))
def test_gradients_are_the_slopes_of_the_loss(spec, seed):
    weights, images, labels = tiny_problem(spec, seed)
    logits, back = reference.forward(spec, weights, images, Arithmetic())
    _, delta = reference.cross_entropy(logits, labels, Arithmetic())
    gradients = back(delta)
    generator = np.random.Generator(np.random.PCG64(seed))
    # Along a random direction, over so short a way that a kink on it is next to impossible.
    direction = {name: generator.normal(size=array.shape) for name, array in weights.items()}
    step = 1e-7
    ahead, behind = (
        loss_of(spec, {name: w + sign * step * direction[name] for name, w in weights.items()}, images, labels)
        for sign in (1, -1)
    )
    slope = sum((gradients[name] * direction[name]).sum() for name in weights)
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-5)


def test_a_convolution_by_hand():
    spec = workload(Conv("conv", 1, 2, "valid"), shape=(2, 2, 1))
    weights = {"conv/kernel": np.array([1.0, 2, 3, 4]).reshape(2, 2, 1, 1), "conv/bias": np.array([0.5])}
    images = np.array([1.0, 10, 100, 1000]).reshape(1, 2, 2, 1)
    logits, _ = reference.forward(spec, weights, images, Arithmetic())
    assert logits.ravel().tolist() == [4321.5]


def test_inputs_of_layers_have_the_layers_names():
    spec = workload(Conv("conv", 1, 1, "valid"), MaxPool(2), Flatten(), Dense("dense", 2, relu=False), shape=(2, 2, 1))
    weights = {
        "conv/kernel": np.full((1, 1, 1, 1), -1.0),
        "conv/bias": np.array([4.0]),
        "dense/kernel": np.ones((1, 2)),
        "dense/bias": np.zeros(2),
    }
    images = np.array([1.0, 2, 3, 9]).reshape(1, 2, 2, 1)
    inputs = {}
    reference.forward(spec, weights, images, Arithmetic(), inputs=inputs)
    assert list(inputs) == ["conv", "dense"]
    assert (inputs["conv"] == images).all()
    assert inputs["dense"].tolist() == [[3.0]]  # the largest of ReLU(4 − pixel)


def test_same_padding_of_an_even_kernel_is_at_the_end():
    spec = workload(Conv("conv", 1, 2, "same"), shape=(2, 2, 1))
    weights = {"conv/kernel": np.array([1.0, 2, 3, 4]).reshape(2, 2, 1, 1), "conv/bias": np.zeros(1)}
    images = np.array([1.0, 10, 100, 1000]).reshape(1, 2, 2, 1)
    logits, _ = reference.forward(spec, weights, images, Arithmetic())
    assert logits.ravel().tolist() == [4321.0, 3010.0, 2100.0, 1000.0]


def test_a_stride_leaves_out_pixels_and_padding_stays_on_both_sides():
    spec = workload(Conv("conv", 1, 3, "same", stride=2, bias=False, relu=False), shape=(4, 4, 1))
    images = 10.0 ** np.arange(16).reshape(1, 4, 4, 1)
    outputs, _ = reference.forward(spec, {"conv/kernel": np.ones((3, 3, 1, 1))}, images, Arithmetic())
    assert outputs.ravel().tolist() == [110011, 11101110, 1100110011 * 10**4, 111011101110 * 10**4]


def test_a_batch_norm_uses_its_statistics_and_has_a_relu_where_told():
    numbers = {"gamma": 2.0, "beta": 0.5, "moving_mean": 3.0, "moving_variance": 15.0}
    weights = {f"norm/{name}": np.array([value]) for name, value in numbers.items()}
    images = np.array([1.0, 11.0]).reshape(1, 1, 2, 1)
    for relu, first in ((False, -0.5), (True, 0.0)):
        spec = workload(BatchNorm("norm", relu, epsilon=1.0), shape=(1, 2, 1))
        outputs, _ = reference.forward(spec, weights, images, Arithmetic())
        assert outputs.ravel().tolist() == [first, 4.5]


def test_a_residual_adds_what_both_ways_make_and_cuts_off_what_is_below_zero():
    ways = Conv("body", 1, 1, "valid", relu=False), Conv("shortcut", 1, 1, "valid", bias=False, relu=False)
    weights = {
        "body/kernel": np.array([[[[-2.0]]]]),
        "body/bias": np.array([1.0]),
        "shortcut/kernel": np.array([[[[3.0]]]]),
    }
    images = np.array([4.0, -2.0]).reshape(1, 1, 2, 1)
    for shortcut, expected in (((), [0.0, 3.0]), (ways[1:], [5.0, 0.0])):
        spec = workload(Residual(ways[:1], shortcut), shape=(1, 2, 1))
        outputs, _ = reference.forward(spec, weights, images, Arithmetic())
        assert outputs.ravel().tolist() == expected


def test_overlapping_windows_are_padded_with_less_than_anything():
    spec = workload(MaxPool(3, stride=2, padding="same"), shape=(4, 4, 1))
    outputs, _ = reference.forward(spec, {}, -np.arange(16.0).reshape(1, 4, 4, 1), Arithmetic())
    assert outputs.ravel().tolist() == [0, -1, -4, -5]


def test_a_global_average_pool_is_the_mean_over_all_pixels():
    images = np.random.default_rng(1).random((2, 3, 4, 5))
    outputs, _ = reference.forward(workload(GlobalAveragePool(), shape=(3, 4, 5)), {}, images, Arithmetic())
    assert outputs == pytest.approx(images.mean((1, 2)), rel=1e-14)


def test_layers_for_inference_have_no_backward_function():
    _, back = reference.forward(workload(GlobalAveragePool()), {}, np.zeros((1, 6, 6, 2)), Arithmetic())
    with pytest.raises(
        ReferenceError, match=r"^tiny: GlobalAveragePool: the reference computes it in inference alone$"
    ):
        back(np.zeros((1, 2)))


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_classes():
    loss, delta = reference.cross_entropy(np.zeros((2, 4)), np.array([0, 3]), Arithmetic())
    assert loss == pytest.approx(np.log(4))
    assert delta == pytest.approx((0.25 - np.eye(4)[[0, 3]]) / 2)


def test_cross_entropy_does_not_overflow():
    loss, _ = reference.cross_entropy(np.array([[1e4, 0.0]]), np.array([1]), Arithmetic())
    assert loss == pytest.approx(1e4)


def test_momentum_is_the_equation_of_the_spec():
    spec = workload(Flatten(), Dense("dense", 2, relu=False), shape=(1, 1, 1))
    weights = {"dense/kernel": np.array([[0.3, -0.2]]), "dense/bias": np.zeros(2)}
    batch = np.ones((1, 1, 1, 1)), np.array([0])
    seen = []
    last = reference.train(spec, weights, [batch] * 2, Arithmetic(), lambda *step: seen.append(step))
    (_, _, first, after_first), (_, _, second, _) = seen
    expected = after_first["dense/kernel"] - 0.1 * (0.9 * first["dense/kernel"] + second["dense/kernel"])
    assert last["dense/kernel"] == pytest.approx(expected, rel=1e-15)
    assert after_first["dense/kernel"] == pytest.approx(weights["dense/kernel"] - 0.1 * first["dense/kernel"])


def test_adam_is_the_equation_of_the_spec():
    spec = workload(Flatten(), Dense("dense", 2, relu=False), shape=(1, 1, 1), optimizer=Adam(0.1, 0.9, 0.99, 0.01))
    weights = {"dense/kernel": np.array([[0.3, -0.2]]), "dense/bias": np.zeros(2)}
    batch = np.ones((1, 1, 1, 1)), np.array([0])
    seen = []
    last = reference.train(spec, weights, [batch] * 2, Arithmetic(), lambda *step: seen.append(step))
    (first, after_first), (second, _) = ([one["dense/kernel"] for one in both] for _, _, *both in seen)
    # After one step both averages, corrected, are those of the one gradient.
    assert after_first == pytest.approx(weights["dense/kernel"] - 0.1 * first / (np.abs(first) + 0.01), rel=1e-13)
    mean = (0.9 * first + second) * 0.1 / (1 - 0.9**2)
    square = (0.99 * first**2 + second**2) * 0.01 / (1 - 0.99**2)
    assert last["dense/kernel"] == pytest.approx(after_first - 0.1 * mean / (np.sqrt(square) + 0.01), rel=1e-13)


def test_a_gru_by_hand():
    spec = workload(Embedding("embedding", 2, 1), GRU("gru", 1), shape=(2,))
    weights = {
        "embedding/embeddings": np.array([[0.5], [-1.0]]),
        "gru/kernel": np.array([[0.1, 0.2, 0.3]]),
        "gru/recurrent_kernel": np.array([[0.4, 0.5, 0.6]]),
        "gru/bias": np.array([[0.01, 0.02, 0.03], [0.04, 0.05, 0.06]]),
    }
    h = 0.0
    for x in (-1.0, 0.5):
        z = 1 / (1 + np.exp(-(0.1 * x + 0.01 + 0.4 * h + 0.04)))
        r = 1 / (1 + np.exp(-(0.2 * x + 0.02 + 0.5 * h + 0.05)))
        h = z * h + (1 - z) * np.tanh(0.3 * x + 0.03 + r * (0.6 * h + 0.06))
    states, _ = reference.forward(spec, weights, np.array([[1, 0]]), Arithmetic())
    assert states.ravel().tolist() == [pytest.approx(h, rel=1e-14)]


def test_displaced_results_stay_within_the_error_of_a_sum():
    generator = np.random.Generator(np.random.PCG64(1))
    a, b = generator.normal(size=(20, 30)), generator.normal(size=(30, 10))
    displaced = Arithmetic(2.0**-24).product(a, b)
    error = np.abs(displaced - a @ b)
    assert error.any()
    assert (error <= 30 * 2.0**-24 * (np.abs(a) @ np.abs(b)) * (1 + 1e-6)).all()
    in_float32 = (a.astype(np.float32) @ b.astype(np.float32)).astype(float)
    assert (
        np.abs(in_float32 - a.astype(np.float32).astype(float) @ b.astype(np.float32))
        <= 30 * 2.0**-24 * (np.abs(a) @ np.abs(b))
    ).all()


def test_an_unknown_optimizer_is_named_with_the_workload():
    spec = workload(Flatten(), Dense("dense", 2, relu=False), optimizer="adam")
    with pytest.raises(ReferenceError, match=r"^tiny: the reference does not know the optimizer adam$"):
        reference.train(spec, {}, [], Arithmetic(), lambda *_: None)


def test_an_unknown_layer_is_named_with_the_workload():
    spec = workload(Flatten(), "attention")
    with pytest.raises(ReferenceError, match=r"^tiny: layer 2, str: the reference cannot compute it$"):
        reference.forward(spec, {}, np.zeros((1, 6, 6, 2)), Arithmetic())


def test_dropout_drops_its_share_and_keeps_the_mean():
    spec = workload(Dropout(0.25), Flatten())
    dropped, _ = reference.forward(
        spec, {}, np.ones((2000, 6, 6, 2)), Arithmetic(), dropout=np.random.Generator(np.random.PCG64(1))
    )
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert dropped.mean() == pytest.approx(1, abs=0.01)
