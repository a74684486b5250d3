"""The vocabulary of a workload's spec: layers, optimizers, and the numbers that follow from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod, sqrt

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Conv:
    """Convolution with a square kernel, channels last; `relu`: followed by a ReLU.

    `same` puts (kernel − 1) // 2 zeros before and kernel // 2 after the image in both directions, whatever the stride.
    For a stride above 1 that is PyTorch's rule; TensorFlow pads only as much as needed, with the larger part at the
    end.
    """

    name: str
    filters: int
    kernel: int
    padding: str  # "valid" or "same"
    stride: int = 1
    bias: bool = True
    relu: bool = True


@dataclass(frozen=True)
class BatchNorm:
    """gamma · (x − moving_mean) / √(moving_variance + ε) + beta per channel, and a ReLU after it where `relu`.

    In evaluation mode alone: no spec trains it.
    """

    name: str
    relu: bool
    epsilon: float


@dataclass(frozen=True)
class MaxPool:
    """Max pooling; an incomplete window at the edge is dropped. Windows touch unless another `stride` is given; with
    `same` padding, as in Conv, the padding is smaller than any value.
    """

    size: int
    stride: int | None = None
    padding: str = "valid"


@dataclass(frozen=True)
class Residual:
    """ReLU of the sum of two branches of the input; an empty branch passes it on (He et al. 2016, figure 5)."""

    body: "tuple[Layer, ...]"
    shortcut: "tuple[Layer, ...]"


@dataclass(frozen=True)
class GlobalAveragePool:
    """The mean over all pixels of each channel."""


@dataclass(frozen=True)
class Dropout:
    rate: float


@dataclass(frozen=True)
class Flatten:
    """Counted in H, W, C order."""


@dataclass(frozen=True)
class Dense:
    """Fully connected, biased; `relu`: followed by a ReLU (the last layer gives logits)."""

    name: str
    units: int
    relu: bool


@dataclass(frozen=True)
class Embedding:
    """Token → vector; the first layer of a net on text."""

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


Layer = Conv | BatchNorm | MaxPool | Residual | GlobalAveragePool | Dropout | Flatten | Dense | Embedding | GRU

# The weights of a BatchNorm. The last two are no parameters, as no optimizer changes them.
STATISTICS = ("moving_mean", "moving_variance")
OF_PYTORCH = ("running_mean", "running_var")  # the same in the files of a user's own
OF_BATCH_NORM = ("gamma", "beta", *STATISTICS)


@dataclass(frozen=True)
class SGD:
    """v ← momentum·v + g; w ← w − learning_rate·v, g the gradient of the mean loss over the batch."""

    learning_rate: float
    momentum: float


@dataclass(frozen=True)
class Adam:
    """m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²; w ← w − learning_rate·m̂ / (√v̂ + ε)

    with m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) after step t (Kingma & Ba 2015, algorithm 1). Every weight moves at every
    step, including those of tokens that are not in the batch.
    """

    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float


@dataclass(frozen=True)
class AdamW:
    """Adam, with w ← w − learning_rate·weight_decay·w before each step (Loshchilov & Hutter 2019, algorithm 2)."""

    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    weight_decay: float


@dataclass(frozen=True)
class Workload:
    """A problem of training, or of inference: the same function, loss and optimizer in every framework.

    The loss is softmax cross-entropy of the logits with integer labels, averaged over the batch. A step of inference
    takes a batch through the net in evaluation mode and copies the output into the host's memory. A sample is an image,
    float32 pixels in [0, 1], channels last, or a sequence of tokens, int64 from 0; a batch is (n, *input_shape).
    """

    name: str
    data: str  # the kind of samples, and the name of their file
    input_shape: Shape  # (height, width, channels) or (tokens,)
    layers: tuple[Layer, ...]
    optimizer: SGD | Adam | AdamW | None  # None: inference
    article_batch_size: int  # batch sizes of the article-form chart and the verdict

    @property
    def trains(self) -> bool:
        """False: it is a problem of inference."""
        return self.optimizer is not None

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Input shape of every layer, without the batch, and last the shape of the logits, or of other output."""
        shapes = [self.input_shape]
        for layer in self.layers:
            shapes.append(_output_shape(layer, shapes[-1]))
        return tuple(shapes)

    @cached_property
    def placed(self) -> "tuple[tuple[Layer, Shape, Shape], ...]":
        """Every layer, with those of a Residual in its place, and its input and output shapes."""
        return tuple(_placed(self.layers, self.input_shape))

    @cached_property
    def weight_shapes(self) -> dict[str, Shape]:
        """Neutral name → shape, in the order of the layers: kernels HWIO or (in, out), biases (out,), embeddings
        (tokens, size); of a GRU W, U and (b, c).
        """
        shapes: dict[str, Shape] = {}
        for layer, (*_, channels), _ in self.placed:
            match layer:
                case Conv(name=name, filters=filters, kernel=kernel):
                    shapes[f"{name}/kernel"] = (kernel, kernel, channels, filters)
                    if layer.bias:
                        shapes[f"{name}/bias"] = (filters,)
                case BatchNorm(name=name):
                    shapes |= {f"{name}/{weight}": (channels,) for weight in OF_BATCH_NORM}
                case Dense(name=name, units=units):
                    shapes[f"{name}/kernel"] = (channels, units)
                    shapes[f"{name}/bias"] = (units,)
                case Embedding(name=name, tokens=tokens, size=size):
                    shapes[f"{name}/embeddings"] = (tokens, size)
                case GRU(name=name, units=units):
                    shapes[f"{name}/kernel"] = (channels, 3 * units)
                    shapes[f"{name}/recurrent_kernel"] = (units, 3 * units)
                    shapes[f"{name}/bias"] = (2, 3 * units)  # b, c
        return shapes

    @property
    def parameters(self) -> int | None:
        """Number of trainable parameters; None where it depends on the framework."""
        return parameters(self.weight_shapes)

    @property
    def flops_per_sample(self) -> int:
        """Floating-point operations of one step per sample; a multiply-add counts as two.

        Convolutions and matrix products only: forward, gradient of the weights, and gradient of the input, which the
        first layer does not need; for inference forward only. Elementwise work is left out, as in published FLOP
        counts.
        """
        if not self.trains:
            return self.forward_flops_per_sample
        return 3 * self.forward_flops_per_sample - 2 * self._multiply_adds[0]

    @property
    def flops_of_a_first_state(self) -> int:
        """The part for the gradient of recurrent layers' first states, which some frameworks leave out."""
        grus = [layer for layer in self.layers if isinstance(layer, GRU)] if self.trains else []
        return sum(2 * layer.units * 3 * layer.units for layer in grus)

    @property
    def forward_flops_per_sample(self) -> int:
        """The same for the forward pass alone."""
        return 2 * sum(self._multiply_adds)

    @cached_property
    def _multiply_adds(self) -> list[int]:
        """FLOPs per sample of the forward pass of each layer with weights."""
        multiply_adds = []
        for layer, before, after in self.placed:
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
        """Size of the vocabulary; None where the samples are images."""
        first = self.layers[0]
        return first.tokens if isinstance(first, Embedding) else None

    @property
    def turns(self) -> int:
        """Iterations of the loop in its net, if it has one."""
        return self.input_shape[0] if self.recurrent else 1

    @property
    def attends(self) -> bool:
        """True where its net has attention."""
        return False

    @property
    def recurrent(self) -> bool:
        return any(isinstance(layer, GRU) for layer in self.layers)

    @cached_property
    def kinds(self) -> dict[str, type]:
        """Type of every layer with weights, by its name."""
        return {layer.name: type(layer) for layer, _, _ in self.placed if hasattr(layer, "name")}

    def input_of(self, name: str) -> Shape:
        """Input shape of layer `name`, without the batch."""
        return next(before for layer, before, _ in self.placed if getattr(layer, "name", None) == name)

    @property
    def loss(self) -> str:
        """The name of its loss, in the words of problem.yaml."""
        return "softmax_cross_entropy"

    @property
    def classifies(self) -> bool:
        """True where a target is the number of a class, False where it is made of floats."""
        return True

    def targets(self, stored: np.ndarray) -> np.ndarray:
        """Targets in a framework's form, from those in a data file: int64 classes, or float32."""
        return stored.astype(np.int64)

    def samples(self, stored: np.ndarray) -> np.ndarray:
        """Samples in a framework's form, from those in a data file: pixels uint8, or tokens."""
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
        """Neutral name → float32 array: Glorot uniform (Glorot & Bengio 2010, eq. 16), but zero biases, and a batch
        norm that is the identity up to its ε.
        """
        generator = np.random.Generator(np.random.PCG64(seed))
        weights = {}
        for name, shape in self.weight_shapes.items():
            weight = name.rpartition("/")[2]
            if weight in ("bias", "beta", "moving_mean"):
                weights[name] = np.zeros(shape, np.float32)
            elif weight in OF_BATCH_NORM:
                weights[name] = np.ones(shape, np.float32)
            else:
                receptive_field = prod(shape[:-2])
                limit = sqrt(6 / (receptive_field * (shape[-2] + shape[-1])))
                weights[name] = ((2 * generator.random(shape) - 1) * limit).astype(np.float32)
        return weights


def parameters(shapes: Mapping[str, Shape]) -> int:
    """Number of trainable parameters among weights with these names and shapes."""
    return sum(prod(shape) for name, shape in shapes.items() if not name.endswith((*STATISTICS, *OF_PYTORCH)))


def _placed(layers: tuple[Layer, ...], shape: Shape) -> Iterator[tuple[Layer, Shape, Shape]]:
    for layer in layers:
        after = _output_shape(layer, shape)
        if isinstance(layer, Residual):
            yield from _placed(layer.body, shape)
            yield from _placed(layer.shortcut, shape)
        else:
            yield layer, shape, after
        shape = after


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    match layer:
        case Conv(filters=filters, kernel=kernel, padding=padding, stride=stride):
            shape = (*(_windows(side, kernel, stride, padding) for side in shape[:2]), filters)
        case MaxPool(size=size, stride=stride, padding=padding):
            shape = (*(_windows(side, size, stride or size, padding) for side in shape[:2]), shape[2])
        case BatchNorm() | Dropout():
            pass
        case Residual(body=body):
            for one in body:
                shape = _output_shape(one, shape)
        case GlobalAveragePool():
            shape = shape[2:]
        case Flatten():
            shape = (prod(shape),)
        case Dense(units=units) | GRU(units=units):
            shape = (units,)
        case Embedding(size=size):
            shape = (*shape, size)
        case _:
            raise ValueError(f"no output shape known for {layer}")
    return shape


def _windows(side: int, size: int, stride: int, padding: str) -> int:
    """Number of windows in a row of so many pixels."""
    return (side + (size - 1 if padding == "same" else 0) - size) // stride + 1
