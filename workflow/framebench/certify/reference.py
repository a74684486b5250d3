"""The neutral reference: a workload's logits, loss, gradients and training in NumPy, from its spec alone.

It also tells how much rounding may change them: the same computation with a disturbance at every operation,
as large as the rounding of a given precision can make it there (`Arithmetic`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from framebench.workloads.layers import SGD, Conv, Dense, Dropout, Flatten, MaxPool, Workload

Arrays = dict[str, np.ndarray]
Backward = Callable[[np.ndarray], np.ndarray]
OfWeights = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

ELEMENTARY = 8  # an exp, a log, a quotient and the few additions around them: this many roundings at most


class ReferenceError(Exception):
    """A spec that the reference cannot compute, in one line naming workload and layer or optimizer."""


@dataclass
class Arithmetic:
    """Exact up to float64 (`unit` 0), or disturbed as rounding to a unit roundoff `unit` may disturb it.

    Of an inner product of n terms it is known that |computed − x·y| ≤ γ_n |x|·|y| with γ_n ≈ n·unit, in
    any order of summation, with or without fused multiply-adds (Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., eq. 3.5). `growth` takes n and gives what stands for it. Each result is displaced
    by that much times a number drawn from [−1, 1].
    """

    unit: float = 0.0
    growth: Callable[[int], float] = float
    generator: np.random.Generator = field(default_factory=lambda: np.random.Generator(np.random.PCG64(0)))

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The matrix product (m, n) × (n, p)."""
        exact = a @ b
        if not self.unit:
            return exact
        return self._displaced(exact, self.growth(a.shape[1]) * (np.abs(a) @ np.abs(b)))

    def total(self, a: np.ndarray) -> np.ndarray:
        """The sum over the first axis."""
        exact = a.sum(axis=0)
        if not self.unit:
            return exact
        return self._displaced(exact, self.growth(len(a)) * np.abs(a).sum(axis=0))

    def rounded(self, exact: np.ndarray, *terms: np.ndarray) -> np.ndarray:
        """The result of a few elementary operations on these terms (default: itself)."""
        if not self.unit:
            return exact
        return self._displaced(exact, ELEMENTARY * sum(np.abs(term) for term in terms or (exact,)))

    def _displaced(self, exact: np.ndarray, units: np.ndarray) -> np.ndarray:
        return exact + self.unit * units * (2 * self.generator.random(exact.shape) - 1)


def forward(
    workload: Workload,
    weights: Arrays,
    images: np.ndarray,
    arithmetic: Arithmetic,
    *,
    dropout: np.random.Generator | None = None,
    kinks: list[np.ndarray] | None = None,
    inputs: Arrays | None = None,
) -> tuple[np.ndarray, Callable[[np.ndarray], Arrays]]:
    """Logits (n, classes) of images (n, height, width, channels), and the way back.

    The second value takes the gradient of the loss by the logits and gives it by every weight, under the
    weights' neutral names. Dropout layers pass all, or drop what the generator `dropout` draws. `kinks`
    is given, for every ReLU and max-pool, how far each of its outputs is from taking the other branch;
    `inputs`, what reaches every convolution and dense layer, under its name.
    """
    way_back: list[Backward] = []
    gradients: Arrays = {}
    x = images
    for i, layer in enumerate(workload.layers):
        match layer:
            case Conv() | Dense():
                if inputs is not None:
                    inputs[layer.name] = x
                x, of_weights, of_input = _linear(layer, weights, x, arithmetic)
                # Nobody needs the gradient by the images.
                way_back.append(_into(gradients, layer.name, of_weights, of_input if way_back else None))
                if isinstance(layer, Conv) or layer.relu:
                    if kinks is not None:
                        kinks.append(np.abs(x))
                    x, backward = _relu(x)
                    way_back.append(backward)
            case MaxPool(size=size):
                if kinks is not None:
                    kinks.append(_lead(x, size))
                x, backward = _max_pool(x, size)
                way_back.append(backward)
            case Flatten():
                x, backward = _flatten(x)
                way_back.append(backward)
            case Dropout(rate=rate):
                if dropout:
                    x, backward = _drop(x, rate, dropout)
                    way_back.append(backward)
            case _:
                raise ReferenceError(
                    f"{workload.name}: layer {i + 1}, {type(layer).__name__}: the reference cannot compute it"
                )

    def back(delta: np.ndarray) -> Arrays:
        for step in reversed(way_back):
            delta = step(delta)
        return {name: gradients[name] for name in workload.weight_shapes}

    return x, back


def cross_entropy(logits: np.ndarray, labels: np.ndarray, arithmetic: Arithmetic) -> tuple[float, np.ndarray]:
    """Mean over the batch of −log softmax(logits)[label], and its gradient by the logits."""
    count = len(labels)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    chosen = np.take_along_axis(shifted, labels[:, None], axis=1)
    magnitude = np.abs(logits).max(axis=1, keepdims=True) + log_sum
    losses = arithmetic.rounded(log_sum - chosen, magnitude)
    delta = np.exp(shifted - log_sum)
    # The error of exp(x) is that of x itself, absolute in x and so relative in exp(x).
    delta = arithmetic.rounded(delta, delta * (1 + magnitude))
    delta[np.arange(count), labels] -= 1
    return float(arithmetic.total(losses)[0] / count), delta / count


def train(
    workload: Workload,
    weights: Arrays,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    arithmetic: Arithmetic,
    saw: Callable[[int, float, Arrays, Arrays], None],
    *,
    dropout: np.random.Generator | None = None,
) -> Arrays:
    """One optimizer step per batch, from `weights`; returns the weights after the last.

    After step k, counted from 1, calls saw(k, its loss, its gradients, the weights after it).
    """
    sgd = workload.optimizer
    if not isinstance(sgd, SGD):
        raise ReferenceError(f"{workload.name}: the reference does not know the optimizer {sgd}")
    velocities = {name: np.zeros_like(array) for name, array in weights.items()}
    for k, (images, labels) in enumerate(batches, start=1):
        logits, back = forward(workload, weights, images, arithmetic, dropout=dropout)
        loss, delta = cross_entropy(logits, labels, arithmetic)
        gradients = back(delta)
        moved = {}
        for name, w in weights.items():
            kept = sgd.momentum * velocities[name]
            velocities[name] = arithmetic.rounded(kept + gradients[name])
            step = sgd.learning_rate * velocities[name]
            moved[name] = arithmetic.rounded(w - step, w, step)
        weights = moved
        saw(k, loss, gradients, weights)
    return weights


def _into(gradients: Arrays, name: str, of_weights: OfWeights, of_input: Backward | None) -> Backward:
    """The way back through a layer with weights, whose gradients it puts among the others."""

    def backward(delta: np.ndarray) -> np.ndarray:
        gradients[f"{name}/kernel"], gradients[f"{name}/bias"] = of_weights(delta)
        return of_input(delta) if of_input else delta

    return backward


def _linear(
    layer: Conv | Dense, weights: Arrays, x: np.ndarray, arithmetic: Arithmetic
) -> tuple[np.ndarray, OfWeights, Backward]:
    """A layer's output before its ReLU; what gives the gradients of kernel and bias, and of its input."""
    kernel, bias = weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]
    if isinstance(layer, Conv):
        return _conv(layer, kernel, bias, x, arithmetic)

    def of_weights(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return arithmetic.product(x.T, delta), arithmetic.total(delta)

    def of_input(delta: np.ndarray) -> np.ndarray:
        return arithmetic.product(delta, kernel.T)

    return arithmetic.rounded(arithmetic.product(x, kernel) + bias), of_weights, of_input


def _conv(
    layer: Conv, kernel: np.ndarray, bias: np.ndarray, x: np.ndarray, arithmetic: Arithmetic
) -> tuple[np.ndarray, OfWeights, Backward]:
    size = layer.kernel
    before, after = ((size - 1) // 2, size // 2) if layer.padding == "same" else (0, 0)
    patches = _patches(x, size, before, after)
    rows = patches.reshape(-1, kernel[..., 0].size)
    y = arithmetic.product(rows, kernel.reshape(rows.shape[1], -1)).reshape(*patches.shape[:3], -1)

    def of_weights(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = delta.reshape(-1, layer.filters)
        return arithmetic.product(rows.T, columns).reshape(kernel.shape), arithmetic.total(columns)

    def of_input(delta: np.ndarray) -> np.ndarray:
        # A convolution of the gradient with the kernel turned by 180°, inputs and outputs swapped.
        turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2).reshape(-1, x.shape[3])
        around = _patches(delta, size, size - 1 - before, size - 1 - after)
        return arithmetic.product(around.reshape(-1, len(turned)), turned).reshape(x.shape)

    return arithmetic.rounded(y + bias), of_weights, of_input


def _patches(x: np.ndarray, size: int, before: int, after: int) -> np.ndarray:
    """(n, rows, columns, size, size, channels): the window of every output pixel of the padded images."""
    padded = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    windows = sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.ascontiguousarray(windows.transpose(0, 1, 2, 4, 5, 3))


def _flatten(x: np.ndarray) -> tuple[np.ndarray, Backward]:
    return x.reshape(len(x), -1), lambda delta: delta.reshape(x.shape)


def _drop(x: np.ndarray, rate: float, generator: np.random.Generator) -> tuple[np.ndarray, Backward]:
    # Inverted dropout: what is kept is scaled to keep the mean (Srivastava et al. 2014, section 10).
    scale = ((generator.random(x.shape, np.float32) >= rate) / (1 - rate)).astype(x.dtype)
    return x * scale, lambda delta: delta * scale


def _relu(x: np.ndarray) -> tuple[np.ndarray, Backward]:
    return np.maximum(x, 0), lambda delta: delta * (x > 0)


def _max_pool(x: np.ndarray, size: int) -> tuple[np.ndarray, Backward]:
    windows = _windows(x, size)
    largest = windows.argmax(axis=-1)[..., None]

    def backward(delta: np.ndarray) -> np.ndarray:
        count, rows, columns, channels, _ = windows.shape
        spread = np.zeros_like(windows)
        np.put_along_axis(spread, largest, delta[..., None], axis=-1)
        spread = spread.reshape(count, rows, columns, channels, size, size).transpose(0, 1, 4, 2, 5, 3)
        gradient = np.zeros_like(x)
        gradient[:, : rows * size, : columns * size] = spread.reshape(count, rows * size, columns * size, -1)
        return gradient

    return np.take_along_axis(windows, largest, axis=-1)[..., 0], backward


def _windows(x: np.ndarray, size: int) -> np.ndarray:
    """(n, rows, columns, channels, size²): the values of every whole pooling window."""
    count, height, width, channels = x.shape
    rows, columns = height // size, width // size
    whole = x[:, : rows * size, : columns * size].reshape(count, rows, size, columns, size, channels)
    return whole.transpose(0, 1, 3, 5, 2, 4).reshape(count, rows, columns, channels, -1)


def _lead(x: np.ndarray, size: int) -> np.ndarray:
    """By how much the largest of each window exceeds the second; infinite where it is a ReLU's zero.

    Which of several such zeros is taken makes no difference: the ReLU passes no gradient to any.
    """
    *_, second, first = np.moveaxis(np.sort(_windows(x, size), axis=-1), -1, 0)
    return np.where(first == 0, np.inf, first - second)
