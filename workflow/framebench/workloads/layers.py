"""The neutral words that a workload's spec is written in: layers, optimizer, and what follows from them."""

from dataclasses import dataclass
from functools import cached_property
from math import prod, sqrt

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Conv:
    """3×3-style convolution, stride 1, channels last, biased, ReLU after it."""

    name: str
    filters: int
    kernel: int
    padding: str  # "valid" or "same"


@dataclass(frozen=True)
class MaxPool:
    """Non-overlapping max pooling; an incomplete window at the edge is dropped."""

    size: int


@dataclass(frozen=True)
class Dropout:
    rate: float


@dataclass(frozen=True)
class Flatten:
    """Counted in H, W, C order."""


@dataclass(frozen=True)
class Dense:
    """Fully connected, biased; `relu` tells whether a ReLU follows (the last layer gives logits)."""

    name: str
    units: int
    relu: bool


@dataclass(frozen=True)
class Embedding:
    """Token → vector; the first layer of a net that reads."""

    name: str
    tokens: int
    size: int


@dataclass(frozen=True)
class GRU:
    """Gated recurrent unit from h = 0, its output the last h; for every x of the sequence

        z = σ(x·W_z + b_z + h·U_z + c_z),  r = σ(x·W_r + b_r + h·U_r + c_r)
        n = tanh(x·W_n + b_n + r·(h·U_n + c_n)),  h ← z·h + (1 − z)·n

    The reset gate comes after the product and has a bias there, as in cuDNN; in the weights' last axis stand z, r, n.
    """

    name: str
    units: int


Layer = Conv | MaxPool | Dropout | Flatten | Dense | Embedding | GRU


@dataclass(frozen=True)
class SGD:
    """v ← momentum·v + g; w ← w − learning_rate·v, g the gradient of the mean loss over the batch."""

    learning_rate: float
    momentum: float


@dataclass(frozen=True)
class Adam:
    """m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²; w ← w − learning_rate·m̂ / (√v̂ + ε)

    with m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) after step t (Kingma & Ba 2015, algorithm 1). Every weight moves at every
    step, those of tokens that a batch does not hold too.
    """

    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float


@dataclass(frozen=True)
class Workload:
    """A training problem: the same function, loss and optimizer in every framework.

    The loss is softmax cross-entropy of the logits with integer labels, averaged over the batch. A sample is an
    image, float32 pixels in [0, 1], channels last, or a sequence of tokens, int64 from 0; a batch (n, *input_shape).
    """

    name: str
    data: str  # the kind of samples: a file of this name is made of them
    input_shape: Shape  # (height, width, channels) or (tokens,)
    layers: tuple[Layer, ...]
    optimizer: SGD | Adam
    article_batch_size: int  # at which the article-form chart and the verdict are taken

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Input shape of every layer, without the batch, and last the shape of the logits."""
        shapes = [self.input_shape]
        for layer in self.layers:
            shapes.append(_output_shape(layer, shapes[-1]))
        return tuple(shapes)

    @cached_property
    def weight_shapes(self) -> dict[str, Shape]:
        """Neutral name → shape, in the order of the layers: kernels HWIO or (in, out), biases (out,), embeddings
        (tokens, size); of a GRU W, U and (b, c).
        """
        shapes: dict[str, Shape] = {}
        for layer, (*_, channels) in zip(self.layers, self.shapes, strict=False):
            if isinstance(layer, Conv):
                shapes[f"{layer.name}/kernel"] = (layer.kernel, layer.kernel, channels, layer.filters)
                shapes[f"{layer.name}/bias"] = (layer.filters,)
            elif isinstance(layer, Dense):
                shapes[f"{layer.name}/kernel"] = (channels, layer.units)
                shapes[f"{layer.name}/bias"] = (layer.units,)
            elif isinstance(layer, Embedding):
                shapes[f"{layer.name}/embeddings"] = (layer.tokens, layer.size)
            elif isinstance(layer, GRU):
                shapes[f"{layer.name}/kernel"] = (channels, 3 * layer.units)
                shapes[f"{layer.name}/recurrent_kernel"] = (layer.units, 3 * layer.units)
                shapes[f"{layer.name}/bias"] = (2, 3 * layer.units)  # b, c
        return shapes

    @property
    def parameters(self) -> int:
        return sum(prod(shape) for shape in self.weight_shapes.values())

    @property
    def flops_per_sample(self) -> int:
        """Floating-point operations of one training step per sample; a multiply-add counts as two.

        Convolutions and matrix products only: forward, gradient of the weights, and gradient of the
        input, which the first layer does not need. Elementwise work is left out, as in published FLOP counts.
        """
        return 3 * self.forward_flops_per_sample - 2 * self._multiply_adds[0]

    @property
    def forward_flops_per_sample(self) -> int:
        """The same for the forward pass alone."""
        return 2 * sum(self._multiply_adds)

    @cached_property
    def _multiply_adds(self) -> list[int]:
        """Per sample, of the forward pass of each layer with weights."""
        multiply_adds = []
        for layer, before, after in zip(self.layers, self.shapes, self.shapes[1:], strict=False):
            if isinstance(layer, Conv):
                multiply_adds.append(prod(after) * layer.kernel**2 * before[-1])
            elif isinstance(layer, Dense):
                multiply_adds.append(before[0] * layer.units)
            elif isinstance(layer, Embedding):
                multiply_adds.append(0)
            elif isinstance(layer, GRU):
                steps, size = before
                multiply_adds.append(steps * (size + layer.units) * 3 * layer.units)
        return multiply_adds

    @property
    def tokens(self) -> int | None:
        """How many tokens there are to read; None where the samples are images."""
        first = self.layers[0]
        return first.tokens if isinstance(first, Embedding) else None

    @property
    def recurrent(self) -> bool:
        return any(isinstance(layer, GRU) for layer in self.layers)

    def input_of(self, name: str) -> Shape:
        """What layer `name` is given, without the batch."""
        names = [getattr(layer, "name", None) for layer in self.layers]
        return self.shapes[names.index(name)]

    def samples(self, stored: np.ndarray) -> np.ndarray:
        """Samples as a framework is given them, of those in a data file: pixels uint8, or tokens."""
        return stored.astype(np.int64) if self.tokens else np.divide(stored, 255, dtype=np.float32)

    def flattened_from(self, dense: str) -> Shape | None:
        """The (height, width, channels) that a Flatten feeds straight into layer `dense`, else None.

        An adapter whose framework counts C, H, W needs it to reorder that kernel's rows. Dropout between
        the two keeps the order.
        """
        shape = None
        for layer, before in zip(self.layers, self.shapes, strict=False):
            if isinstance(layer, Flatten):
                shape = before
            elif isinstance(layer, Dense):
                if layer.name == dense:
                    return shape
                shape = None
        return None

    def initial_weights(self, seed: int) -> dict[str, np.ndarray]:
        """Neutral name → float32 array: Glorot uniform (Glorot & Bengio 2010, eq. 16), but zero biases."""
        generator = np.random.Generator(np.random.PCG64(seed))
        weights = {}
        for name, shape in self.weight_shapes.items():
            if name.endswith("/bias"):
                weights[name] = np.zeros(shape, np.float32)
            else:
                receptive_field = prod(shape[:-2])
                limit = sqrt(6 / (receptive_field * (shape[-2] + shape[-1])))
                weights[name] = ((2 * generator.random(shape) - 1) * limit).astype(np.float32)
        return weights


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    match layer:
        case Conv(filters=filters, kernel=kernel, padding=padding):
            lost = kernel - 1 if padding == "valid" else 0
            return (shape[0] - lost, shape[1] - lost, filters)
        case MaxPool(size=size):
            return (shape[0] // size, shape[1] // size, shape[2])
        case Dropout():
            return shape
        case Flatten():
            return (prod(shape),)
        case Dense(units=units) | GRU(units=units):
            return (units,)
        case Embedding(size=size):
            return (*shape, size)
    raise ValueError(f"no output shape known for {layer}")
