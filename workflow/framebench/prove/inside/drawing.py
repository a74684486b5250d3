"""Batches and weights of a proof, the same in every process: NumPy draws them from the seed."""

from collections.abc import Iterator
from typing import Any

import numpy as np

STEPS = (1, 3, 10)  # of the optimizer, after which the weights are compared
# Few, so that a proof is quick; odd and no usual size of a layer, so that mistaking an axis for the batch shows.
SAMPLES = 5
PADDING = 0.1  # share of the tokens that are set to 0, besides those drawn as 0


def batches(request: dict[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets for every step in Keras's layout; floats are normal, and float32 holds them exactly."""
    generator = np.random.Generator(np.random.PCG64(request["seed"]))
    samples = min(SAMPLES, request["batch_size"])
    asked, target = request["input"], request["target"]

    def tokens(shape: tuple[int, ...]) -> np.ndarray:
        # Token 0 often stands for padding, which one side may mask.
        return np.where(generator.random(shape) < PADDING, 0, generator.integers(0, asked["below"], shape))

    def normal(shape: tuple[int, ...]) -> np.ndarray:
        return generator.standard_normal(shape).astype(np.float32).astype(np.float64)

    for _ in range(max(STEPS)):
        shape = (samples, *asked["shape"])
        x = normal(shape) if asked["type"] == "float32" else tokens(shape)
        shape = (samples, *target.get("shape", []))
        if "classes" in target:
            y: np.ndarray = generator.integers(0, target["classes"], shape)
        elif request["loss"] == "binary_cross_entropy":
            y = generator.integers(0, 2, shape).astype(np.float64)
        else:
            y = normal(shape)
        yield (x if asked["type"] == "float32" else x.astype(asked["type"])), y


def weight(role: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Random values that keep activations near 1 through many layers; none is so near 0 that it hides a fault."""
    value = generator.standard_normal(shape)
    if role == "variance":
        return np.exp(0.3 * value)
    if role == "gamma":
        return 1 + 0.3 * value
    if "kernel" in role:
        return value * (1.5 / max(1, value.size // shape[-1])) ** 0.5
    return 0.3 * value
