"""The neutral reference: a workload's logits, loss, gradients and training in NumPy, from its spec alone.

With a perturbed `Arithmetic` it also shows how much rounding may change them.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from framebench.certify import differentiable
from framebench.certify.arithmetic import Arithmetic
from framebench.certify.differentiable import Arrays, Backward, WeightsBackward
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
    Layer,
    MaxPool,
    Residual,
    Workload,
)

WITH_WEIGHTS: dict[type, Callable] = {
    Conv: differentiable.conv,
    Dense: differentiable.dense,
    Embedding: differentiable.embedding,
    GRU: differentiable.gru,
}


class ReferenceError(Exception):
    """A spec that the reference cannot compute, in one line naming workload and layer or optimizer."""


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
    """Logits (n, classes) of samples (n, *input_shape), and the backward function.

    The backward function takes the gradient of the loss by the logits, and returns it by every weight, under the
    weights' neutral names. Dropout layers pass all, or drop what the generator `dropout` draws. `kinks` receives, for
    every ReLU and max-pool, the distance of each of its outputs from the other branch; `inputs`, the input of every
    layer that multiplies, under its name.
    """
    way_back: list[Backward] = []
    gradients: Arrays = {}

    def through(layers: tuple[Layer, ...], x: np.ndarray) -> np.ndarray:
        for layer in layers:
            match layer:
                case Conv() | Dense() | Embedding() | GRU():
                    if inputs is not None and not isinstance(layer, Embedding):
                        inputs[layer.name] = x
                    x, backward = WITH_WEIGHTS[type(layer)](layer, own(layer.name), x, arithmetic)
                    way_back.append(_into(gradients, layer.name, backward, first=not way_back))
                    if isinstance(layer, Conv | Dense) and layer.relu:
                        if kinks is not None:
                            kinks.append(np.abs(x))
                        x, backward = differentiable.relu(x)
                        way_back.append(backward)
                case MaxPool(size=size, stride=None, padding="valid"):
                    if kinks is not None:
                        kinks.append(differentiable.lead(x, size))
                    x, backward = differentiable.max_pool(x, size)
                    way_back.append(backward)
                case Flatten():
                    x, backward = differentiable.flatten(x)
                    way_back.append(backward)
                case Dropout(rate=rate):
                    if dropout:
                        x, backward = differentiable.drop(x, rate, dropout)
                        way_back.append(backward)
                case MaxPool() | BatchNorm() | Residual() | GlobalAveragePool():
                    x = inferred(layer, x)
                    way_back.append(_no_way_back(workload, layer))
                case _:
                    raise ReferenceError(
                        f"{workload.name}: layer {layers.index(layer) + 1}, {type(layer).__name__}: "
                        "the reference cannot compute it"
                    )
        return x

    def inferred(layer: MaxPool | BatchNorm | Residual | GlobalAveragePool, x: np.ndarray) -> np.ndarray:
        match layer:
            case MaxPool():
                return differentiable.overlapping_max_pool(layer, x)
            case BatchNorm():
                x = differentiable.batch_norm(layer, own(layer.name), x, arithmetic)
                return np.maximum(x, 0) if layer.relu else x
            case Residual():
                added, kept = through(layer.body, x), through(layer.shortcut, x)
                return np.maximum(arithmetic.rounded(added + kept, added, kept), 0)
            case GlobalAveragePool():
                return differentiable.global_average_pool(x, arithmetic)

    def own(layer: str) -> Arrays:
        prefix = f"{layer}/"
        return {name[len(prefix) :]: weights[name] for name in weights if name.startswith(prefix)}

    def back(delta: np.ndarray) -> Arrays:
        for step in reversed(way_back):
            delta = step(delta)
        return {name: gradients[name] for name in workload.weight_shapes}

    return through(workload.layers, images), back


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
    at_a_time: int | None = None,
) -> Arrays:
    """One optimizer step per batch, from `weights`; returns the weights after the last.

    After step k, counted from 1, it calls saw(k, loss, gradients, weights after the step). A batch is taken so many
    samples `at_a_time`, None: all.
    """
    update = _update(workload, weights, arithmetic)
    for k, (images, labels) in enumerate(batches, start=1):
        loss = 0.0
        gradients: dict[str, Any] = dict.fromkeys(weights, 0.0)
        size = at_a_time or len(labels)
        for i in range(0, len(labels), size):
            some = labels[i : i + size]
            share = len(some) / len(labels)
            logits, back = forward(workload, weights, images[i : i + size], arithmetic, dropout=dropout)
            of_part, delta = cross_entropy(logits, some, arithmetic)
            loss += share * of_part
            gradients = {name: gradients[name] + share * one for name, one in back(delta).items()}
        steps = {name: update(name, k, gradients[name]) for name in weights}
        weights = {name: arithmetic.rounded(w - steps[name], w, steps[name]) for name, w in weights.items()}
        saw(k, loss, gradients, weights)
    return weights


def _update(
    workload: Workload, weights: Arrays, arithmetic: Arithmetic
) -> Callable[[str, int, np.ndarray], np.ndarray]:
    """The optimizer's subtraction from a weight at step k, counted from 1, given its name, k and its gradient."""
    first, second = ({name: np.zeros_like(array) for name, array in weights.items()} for _ in range(2))

    def sgd(name: str, k: int, gradient: np.ndarray) -> np.ndarray:
        kept = optimizer.momentum * first[name]
        first[name] = arithmetic.rounded(kept + gradient)
        return optimizer.learning_rate * first[name]

    def adam(name: str, k: int, gradient: np.ndarray) -> np.ndarray:
        b1, b2 = optimizer.beta_1, optimizer.beta_2
        kept, new = b1 * first[name], (1 - b1) * gradient
        first[name] = arithmetic.rounded(kept + new, kept, new)
        second[name] = arithmetic.rounded(b2 * second[name] + (1 - b2) * gradient**2)
        size = np.sqrt(second[name] / (1 - b2**k)) + optimizer.epsilon
        return arithmetic.rounded(optimizer.learning_rate * first[name] / (1 - b1**k) / size)

    optimizer: Any = workload.optimizer
    match optimizer:
        case SGD():
            return sgd
        case Adam():
            return adam
    raise ReferenceError(f"{workload.name}: the reference does not know the optimizer {optimizer}")


def _no_way_back(workload: Workload, layer: Layer) -> Backward:
    def back(delta: np.ndarray) -> np.ndarray:
        raise ReferenceError(f"{workload.name}: {type(layer).__name__}: the reference computes it in inference alone")

    return back


def _into(gradients: Arrays, name: str, backward: WeightsBackward, first: bool) -> Backward:
    """Backward through a layer with weights, adding its gradients to the others; a first layer ends it."""

    def through(delta: np.ndarray) -> np.ndarray:
        of_weights, of_input = backward(delta)
        gradients.update({f"{name}/{weight}": gradient for weight, gradient in of_weights.items()})
        return delta if first else of_input()

    return through
