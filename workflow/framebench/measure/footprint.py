"""The effective precision of a framework, seen in the results of its convolutions and matrix products.

A type whose significand has p bits, including the leading one, keeps 1 + 2⁻ᵏ as long as k < p and turns it into 1 when
k ≥ p, whether it rounds to the nearest, ties to even, or truncates. p is 24 for float32, 11 for float16 and for TF32
(to which NVIDIA's libraries round the factors of float32 products), and 8 for bfloat16. Only float16 loses 2⁻³⁰: its
smallest number is 2⁻²⁴.

So the net gets weights with which one kernel multiplies ones by such factors, and every other layer passes on its
input. In a residual net the shortcut of each block passes it on, and the block with the kernel adds the result, in
channels of its own: so several kernels are tested in one pass. Each result is a power of two that all of these types
hold exactly, or zero where the factor was rounded. The gap between the two is wide enough for a convolution by
transforms (Winograd, Fourier), whose own rounding leaves some 10⁻⁶ of the ones in float32: a result counts as kept
within a factor of 8.

The test runs after the run, in the state that the run left: before it, the first step would find a device and libraries
already warm, and the allocator's peak would no longer be that of training alone. It tests the forward pass; the
backward pass follows the same casts and switches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framebench.frameworks.contract import Trainer, Weights
from framebench.workloads.layers import GRU, BatchNorm, Conv, Dense, Embedding, Layer, Residual, Workload

# Factors for a layer's two ones: passed on by all; kept by 11 bits and not by 8; by 24 and not by 11; by range.
FACTORS = ((1.0, 0.0), (1 + 2.0**-9, -1.0), (1 + 2.0**-13, -1.0), (2.0**-30, 0.0))
RESULTS = np.array([first + second for first, second in FACTORS])
WITHIN = 8
SHUT = 100.0  # its σ and tanh are 1, and σ of −100 is 0, in every type
# The results, apart from the first, that each precision keeps.
KEPT: dict[tuple[bool, ...], str] = {
    (True, True, True): "float32",
    (True, False, True): "tf32",
    (True, False, False): "float16",
    (False, False, True): "bfloat16",
}
UNKNOWN = "none that is known"


@dataclass(frozen=True)
class Probe:
    """A kernel under test: the first of two channels with ones, and the first of those with its results."""

    kernel: str
    ones: int
    results: int


def found(trainer: Trainer, workload: Workload, batch_size: int) -> dict[str, str]:
    """Layer with a product → precision at that batch size, for every kernel; changes the trainer's weights."""
    ones = np.ones((batch_size, *workload.input_shape), np.int64 if workload.tokens else np.float32)
    at_a_time = min(len(FACTORS), workload.shapes[-1][0])  # a net's last layer may have fewer units
    precisions = {}
    for probes in passes(workload):
        results = []
        for start in range(0, len(FACTORS), at_a_time):
            trainer.load(weights(workload, probes, FACTORS[start : start + at_a_time]))
            results.append(trainer.logits(ones))
        for probe in probes:
            own = [logits[:, probe.results : probe.results + at_a_time] for logits in results]
            precisions[probe.kernel.removesuffix("/kernel")] = precision(np.concatenate(own, axis=1))
    return precisions


def passes(workload: Workload) -> list[list[Probe]]:
    """Groups of kernels that are tested together."""
    names = kernels(workload)
    if not any(isinstance(layer, Residual) for layer in workload.layers):
        return [[Probe(name, 0, 0)] for name in names]
    # The shortcut of a block stays beside the block's output.
    each = 2 + len(FACTORS)
    narrowest = min(layer.filters for layer, _, _ in workload.placed if isinstance(layer, Conv))
    together = narrowest // each
    return [
        [Probe(name, i * each, i * each + 2) for i, name in enumerate(names[start : start + together])]
        for start in range(0, len(names), together)
    ]


def contradiction(asked: str, precisions: Mapping[str, str]) -> str | None:
    """The reason why the precision found is not the requested one; None where it is.

    `tf32` allows its use: the library chooses by shape which products it computes so, and at least one must be.
    """
    seen = set(precisions.values())
    if seen == {asked} or (asked == "tf32" and seen == {"tf32", "float32"}):
        return None
    return f"precision {asked} was requested, but the numbers are those of {described(precisions)}"


def described(precisions: Mapping[str, str]) -> str:
    """The one precision of all layers, or one per layer: `conv1 tf32, dense1 float32`."""
    if len(set(precisions.values())) == 1:
        return next(iter(precisions.values()))
    return ", ".join(f"{layer} {one}" for layer, one in precisions.items())


def kernels(workload: Workload) -> list[str]:
    """The weights of products, in the order of the net."""
    return [name for name in workload.weight_shapes if name.endswith("kernel")]


def weights(workload: Workload, probes: Sequence[Probe], factors: Sequence[tuple[float, float]]) -> Weights:
    """Weights that turn ones into the factors' sums among the logits, except for the losses of the probed kernels.

    A convolution uses only the middle of its kernel, so that padding changes nothing; after a flatten only the first
    pixel is used, which comes first in H, W, C order. Every token becomes ones, and so does every image.
    """
    made = {name: np.zeros(shape, np.float32) for name, shape in workload.weight_shapes.items()}
    count = len(factors)
    left = {probe.kernel for probe in probes}  # its input is two ones, and then the sums

    def fill(layers: tuple[Layer, ...], passed_on: Sequence[Probe]) -> None:
        for layer in layers:
            match layer:
                case Embedding(name=name):
                    made[f"{name}/embeddings"][:, :2] = 1
                case GRU(name=name):
                    (probe,) = passed_on
                    own = {weight: made[f"{name}/{weight}"] for weight in ("kernel", "recurrent_kernel", "bias")}
                    _make_gru(own, probe.kernel.removeprefix(f"{name}/"), factors, probe.kernel in left)
                    left.difference_update({f"{name}/kernel", f"{name}/recurrent_kernel"})
                case Conv(name=name) | Dense(name=name):
                    kernel = made[f"{name}/kernel"]
                    middle = kernel[tuple(size // 2 for size in kernel.shape[:-2])]  # (in, out)
                    first = layer is workload.layers[0]  # an image's channels are all ones
                    for probe in passed_on:
                        ones = 0 if first else probe.ones
                        results = slice(probe.results, probe.results + count)
                        if probe.kernel == f"{name}/kernel":
                            middle[ones : ones + 2, results] = np.transpose(factors)
                        elif probe.kernel in left:
                            middle[ones, probe.ones : probe.ones + 2] = 1
                        else:
                            np.fill_diagonal(middle[results, results], 1)
                    left.discard(f"{name}/kernel")
                case BatchNorm(name=name):
                    made[f"{name}/gamma"][:] = 1
                    made[f"{name}/moving_variance"][:] = 1 - layer.epsilon
                case Residual(body=body, shortcut=shortcut):
                    names = {f"{one.name}/kernel" for one in body if isinstance(one, Conv)}
                    fill(body, [probe for probe in passed_on if probe.kernel in names])
                    fill(shortcut, [probe for probe in passed_on if probe.kernel not in names])

    fill(workload.layers, probes)
    return made


def _make_gru(own: Weights, probed: str, factors: Sequence[tuple[float, float]], before: bool) -> None:
    """Weights of a GRU with its gates shut: its state is tanh of the product, and tanh keeps the size.

    The ones of its state come from the bias, as tanh of a large number.
    """
    update, reset, new = np.split(own["bias"][0], 3)  # views
    update[:], reset[:] = -SHUT, SHUT
    kernel, recurrent_kernel = (np.split(own[name], 3, axis=1)[2] for name in ("kernel", "recurrent_kernel"))
    count = len(factors)
    if probed == "kernel":
        kernel[:2, :count] = np.transpose(factors)
    elif probed == "recurrent_kernel":
        new[count : count + 2] = SHUT
        recurrent_kernel[count : count + 2, :count] = np.transpose(factors)
    elif before:
        new[:2] = SHUT
    else:
        np.fill_diagonal(kernel[:count, :count], 1)


def precision(results: np.ndarray) -> str:
    """The precision in which a layer computed RESULTS, (n, len(RESULTS))."""
    sizes = np.abs(results) / RESULTS
    kept = ((sizes > 1 / WITHIN) & (sizes < WITHIN)).all(axis=0)
    lost = (sizes <= 1 / WITHIN).all(axis=0)
    if not kept[0] or not (kept | lost).all():
        return UNKNOWN
    return KEPT.get(tuple(map(bool, kept[1:])), UNKNOWN)
