"""The layers of a spec in NumPy: forward and backward.

A layer's backward function takes the gradient of the loss by its output, and returns the gradient by its input. A layer
with weights returns two things: the gradients by its weights, under their names, and a function for the gradient by its
input, which the first layer of a net does not need.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from framebench.certify.arithmetic import Arithmetic
from framebench.workloads.layers import GRU, BatchNorm, Conv, Dense, Embedding, MaxPool

Arrays = dict[str, np.ndarray]
Backward = Callable[[np.ndarray], np.ndarray]
WeightsBackward = Callable[[np.ndarray], tuple[Arrays, Callable[[], np.ndarray]]]


def dense(layer: Dense, weights: Arrays, x: np.ndarray, arithmetic: Arithmetic) -> tuple[np.ndarray, WeightsBackward]:
    """Before its ReLU."""

    def backward(delta: np.ndarray) -> tuple[Arrays, Callable[[], np.ndarray]]:
        gradients = {"kernel": arithmetic.product(x.T, delta), "bias": arithmetic.total(delta)}
        return gradients, lambda: arithmetic.product(delta, weights["kernel"].T)

    return arithmetic.rounded(arithmetic.product(x, weights["kernel"]) + weights["bias"]), backward


def conv(layer: Conv, weights: Arrays, x: np.ndarray, arithmetic: Arithmetic) -> tuple[np.ndarray, WeightsBackward]:
    """Before its ReLU."""
    kernel, size, stride = weights["kernel"], layer.kernel, layer.stride
    before, after = _around(size, layer.padding)
    patches = _patches(x, size, before, after)[:, ::stride, ::stride]
    rows = patches.reshape(-1, kernel[..., 0].size)
    y = arithmetic.product(rows, kernel.reshape(rows.shape[1], -1)).reshape(*patches.shape[:3], -1)

    def backward(delta: np.ndarray) -> tuple[Arrays, Callable[[], np.ndarray]]:
        columns = delta.reshape(-1, layer.filters)
        gradients = {"kernel": arithmetic.product(rows.T, columns).reshape(kernel.shape)}
        if layer.bias:
            gradients["bias"] = arithmetic.total(columns)

        def of_input() -> np.ndarray:
            # A convolution of the gradient with the kernel turned by 180°, inputs and outputs swapped; pixels that the
            # stride leaves out get nothing.
            height, width = (side + before + after - size + 1 for side in x.shape[1:3])
            everywhere = np.zeros((len(x), height, width, layer.filters), delta.dtype)
            everywhere[:, ::stride, ::stride] = delta
            turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2).reshape(-1, x.shape[3])
            around = _patches(everywhere, size, size - 1 - before, size - 1 - after)
            return arithmetic.product(around.reshape(-1, len(turned)), turned).reshape(x.shape)

        return gradients, of_input

    return (arithmetic.rounded(y + weights["bias"]) if layer.bias else y), backward


def batch_norm(layer: BatchNorm, weights: Arrays, x: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """In evaluation mode, before its ReLU; it has no backward function."""
    scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + layer.epsilon)
    mean, beta = weights["moving_mean"], weights["beta"]
    return arithmetic.rounded((x - mean) * scale + beta, x * scale, mean * scale, beta)


def embedding(
    layer: Embedding, weights: Arrays, x: np.ndarray, arithmetic: Arithmetic
) -> tuple[np.ndarray, WeightsBackward]:
    embeddings = weights["embeddings"]

    def backward(delta: np.ndarray) -> tuple[Arrays, Callable[[], np.ndarray]]:
        gradient, sizes = np.zeros_like(embeddings), np.zeros_like(embeddings)
        np.add.at(gradient, x, delta)
        np.add.at(sizes, x, np.abs(delta))
        return {"embeddings": arithmetic.rounded(gradient, sizes)}, lambda: delta  # tokens have no gradient

    return embeddings[x], backward


def gru(layer: GRU, weights: Arrays, x: np.ndarray, arithmetic: Arithmetic) -> tuple[np.ndarray, WeightsBackward]:
    """The last state (n, units) after x (n, steps, size)."""
    kernel, recurrent_kernel, bias = (weights[name] for name in ("kernel", "recurrent_kernel", "bias"))
    rounded = arithmetic.rounded
    rows = x.transpose(1, 0, 2).reshape(-1, x.shape[2])  # step by step
    of_inputs = rounded(arithmetic.product(rows, kernel) + bias[0]).reshape(x.shape[1], len(x), -1)
    h = np.zeros((len(x), layer.units), x.dtype)
    steps = []
    for of_input in of_inputs:
        of_state = rounded(arithmetic.product(h, recurrent_kernel) + bias[1])
        (xz, xr, xn), (hz, hr, hn) = (np.split(both, 3, axis=1) for both in (of_input, of_state))
        z, r = rounded(_sigmoid(rounded(xz + hz, xz, hz))), rounded(_sigmoid(rounded(xr + hr, xr, hr)))
        n = rounded(np.tanh(rounded(xn + r * hn, xn, r * hn)))
        steps.append((h, z, r, n, hn))
        h = rounded(z * h + (1 - z) * n, z * h, (1 - z) * n)

    def backward(delta: np.ndarray) -> tuple[Arrays, Callable[[], np.ndarray]]:
        by_input, by_state = [], []
        for h, z, r, n, hn in reversed(steps):
            by_n = rounded(delta * (1 - z) * (1 - n**2), delta * (1 - z) * (1 + n**2))
            by_z = rounded(delta * (h - n) * z * (1 - z), delta * (np.abs(h) + np.abs(n)) * z * (1 - z))
            by_r = rounded(by_n * hn * r * (1 - r))
            by_input.append(np.concatenate([by_z, by_r, by_n], axis=1))
            by_state.append(np.concatenate([by_z, by_r, by_n * r], axis=1))
            kept, new = delta * z, arithmetic.product(by_state[-1], recurrent_kernel.T)
            delta = rounded(kept + new, kept, new)
        inputs, states = (np.concatenate(by[::-1]) for by in (by_input, by_state))
        before = np.concatenate([h for h, *_ in steps])

        def of_input() -> np.ndarray:
            return arithmetic.product(inputs, kernel.T).reshape(x.shape[1], len(x), -1).transpose(1, 0, 2)

        gradients = {
            "kernel": arithmetic.product(rows.T, inputs),
            "recurrent_kernel": arithmetic.product(before.T, states),
            "bias": np.stack([arithmetic.total(inputs), arithmetic.total(states)]),
        }
        return gradients, of_input

    return h, backward


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(x / 2)) / 2


def _around(size: int, padding: str) -> tuple[int, int]:
    """Padding before and after an image."""
    return ((size - 1) // 2, size // 2) if padding == "same" else (0, 0)


def _patches(x: np.ndarray, size: int, before: int, after: int) -> np.ndarray:
    """(n, rows, columns, size, size, channels): the window of every output pixel of the padded images."""
    padded = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    windows = sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.ascontiguousarray(windows.transpose(0, 1, 2, 4, 5, 3))


def flatten(x: np.ndarray) -> tuple[np.ndarray, Backward]:
    return x.reshape(len(x), -1), lambda delta: delta.reshape(x.shape)


def drop(x: np.ndarray, rate: float, generator: np.random.Generator) -> tuple[np.ndarray, Backward]:
    # Inverted dropout: the kept values are scaled to keep the mean (Srivastava et al. 2014, section 10).
    scale = ((generator.random(x.shape, np.float32) >= rate) / (1 - rate)).astype(x.dtype)
    return x * scale, lambda delta: delta * scale


def relu(x: np.ndarray) -> tuple[np.ndarray, Backward]:
    return np.maximum(x, 0), lambda delta: delta * (x > 0)


def max_pool(x: np.ndarray, size: int) -> tuple[np.ndarray, Backward]:
    places = _places(x, size)
    largest = reduce(np.maximum, places)

    def backward(delta: np.ndarray) -> np.ndarray:
        gradient = np.zeros_like(x)
        left = np.ones(delta.shape, bool)  # windows whose largest value is still to be found
        for here, place in zip(places, _places(gradient, size), strict=True):
            found = left & (here == largest)
            place[...] = delta * found
            left &= ~found
        return gradient

    return largest, backward


def _places(x: np.ndarray, size: int) -> list[np.ndarray]:
    """Views (n, rows, columns, channels) of the values at each place of every whole pooling window, row by row."""
    height, width = (side // size * size for side in x.shape[1:3])
    return [x[:, i:height:size, j:width:size] for i in range(size) for j in range(size)]


def overlapping_max_pool(layer: MaxPool, x: np.ndarray) -> np.ndarray:
    """Pooling windows that overlap or leave gaps; there is no backward function."""
    around = _around(layer.size, layer.padding)
    padded = np.pad(x, ((0, 0), around, around, (0, 0)), constant_values=-np.inf)
    windows = sliding_window_view(padded, (layer.size, layer.size), axis=(1, 2))
    return windows[:, :: layer.stride, :: layer.stride].max(axis=(-2, -1))


def global_average_pool(x: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """(n, height, width, channels) → (n, channels); there is no backward function."""
    pixels = np.moveaxis(x, 3, 1).reshape(len(x), x.shape[3], -1)
    return arithmetic.total(np.moveaxis(pixels, 2, 0)) / pixels.shape[2]


def lead(x: np.ndarray, size: int) -> np.ndarray:
    """The margin of the largest value of each window over the second; infinite where it is a ReLU's zero.

    The choice among several such zeros makes no difference: the ReLU passes no gradient to any.
    """
    *_, second, first = np.sort(np.stack(_places(x, size)), axis=0)
    return np.where(first == 0, np.inf, first - second)
