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


Layer = Conv | MaxPool | Dropout | Flatten | Dense


@dataclass(frozen=True)
class SGD:
    """v ← momentum·v + g; w ← w − learning_rate·v, g the gradient of the mean loss over the batch."""

    learning_rate: float
    momentum: float


@dataclass(frozen=True)
class Workload:
    """A training problem: the same function, loss and optimizer in every framework.

    The loss is softmax cross-entropy of the logits with integer labels, averaged over the batch.
    Pixels are float32 in [0, 1], shape (batch, *input_shape), channels last.
    """

    name: str
    input_shape: Shape  # (height, width, channels)
    layers: tuple[Layer, ...]
    optimizer: SGD
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
        """Neutral name → shape: kernels HWIO or (in, out), biases (out,), in the order of the layers."""
        shapes: dict[str, Shape] = {}
        for layer, (*_, channels) in zip(self.layers, self.shapes, strict=False):
            if isinstance(layer, Conv):
                shapes[f"{layer.name}/kernel"] = (layer.kernel, layer.kernel, channels, layer.filters)
                shapes[f"{layer.name}/bias"] = (layer.filters,)
            elif isinstance(layer, Dense):
                shapes[f"{layer.name}/kernel"] = (channels, layer.units)
                shapes[f"{layer.name}/bias"] = (layer.units,)
        return shapes

    @property
    def parameters(self) -> int:
        return sum(prod(shape) for shape in self.weight_shapes.values())

    @property
    def flops_per_sample(self) -> int:
        """Floating-point operations of one training step per sample; a multiply-add counts as two.

        Convolutions and dense layers only: forward, gradient of the weights, and gradient of the
        input, which the first layer does not need. Elementwise work is left out, as in published FLOP counts.
        """
        return 3 * self.forward_flops_per_sample - 2 * self._multiply_adds[0]

    @property
    def forward_flops_per_sample(self) -> int:
        """The same for the forward pass alone."""
        return 2 * sum(self._multiply_adds)

    @cached_property
    def _multiply_adds(self) -> list[int]:
        """Per sample, of each convolution and dense layer's forward pass."""
        multiply_adds = []
        for layer, before, after in zip(self.layers, self.shapes, self.shapes[1:], strict=False):
            if isinstance(layer, Conv):
                multiply_adds.append(prod(after) * layer.kernel**2 * before[-1])
            elif isinstance(layer, Dense):
                multiply_adds.append(before[0] * layer.units)
        return multiply_adds

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
        """Neutral name → float32 array: Glorot uniform kernels (Glorot & Bengio 2010, eq. 16), zero biases."""
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
        case Conv(filters=filters, kernel=kernel, padding="valid"):
            return (shape[0] - kernel + 1, shape[1] - kernel + 1, filters)
        case Conv(filters=filters, padding="same"):
            return (shape[0], shape[1], filters)
        case MaxPool(size=size):
            return (shape[0] // size, shape[1] // size, shape[2])
        case Dropout():
            return shape
        case Flatten():
            return (prod(shape),)
        case Dense(units=units):
            return (units,)
    raise ValueError(f"no output shape known for {layer}")
