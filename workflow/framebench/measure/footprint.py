"""The precision that a framework really computes in, seen in what its convolutions and matrix products give.

A type whose significand has p bits, the leading one counted, keeps 1 + 2⁻ᵏ as long as k < p and makes 1 of it when
k ≥ p, whether it rounds to the nearest, ties to even, or cuts off. p is 24 for float32, 11 for float16 and for TF32,
which NVIDIA's libraries round the factors of float32 products to, and 8 for bfloat16. Of these only float16 loses
2⁻³⁰: its smallest number is 2⁻²⁴.

So weights are put into the net with which one layer at a time multiplies ones by such factors, and every other layer
passes on what it is given. Each result is a power of two that all of these types hold exactly, or zero where the
factor was rounded. Between the two lies all that is needed for a convolution by way of transforms (Winograd,
Fourier), whose own rounding leaves some 10⁻⁶ of the ones in float32: a result counts as kept within a factor of 8.

It is looked at after the run, in the state that the run left: before it, the first step would find a device and
libraries already warm, and the allocator's peak would be no longer that of training alone. It sees the way forward;
the way back follows the same casts and switches.
"""

from collections.abc import Mapping

import numpy as np

from framebench.frameworks import Trainer, Weights
from framebench.workloads.layers import Workload

# What a layer multiplies two ones by: to be passed on; kept by 11 bits and not by 8, by 24 and not by 11, by range.
FACTORS = ((1.0, 0.0), (1 + 2.0**-9, -1.0), (1 + 2.0**-13, -1.0), (2.0**-30, 0.0))
RESULTS = np.array([first + second for first, second in FACTORS])
WITHIN = 8
# Which results but the first a precision keeps.
KEPT: dict[tuple[bool, ...], str] = {
    (True, True, True): "float32",
    (True, False, True): "tf32",
    (True, False, False): "float16",
    (False, False, True): "bfloat16",
}
UNKNOWN = "none that is known"


def found(trainer: Trainer, workload: Workload, batch_size: int) -> dict[str, str]:
    """Layer → precision, for every convolution and dense layer, at that batch size; changes the trainer's weights."""
    ones = np.ones((batch_size, *workload.input_shape), np.float32)
    precisions = {}
    for layer in layers(workload):
        trainer.load(weights(workload, layer))
        precisions[layer] = precision(trainer.logits(ones)[:, : len(FACTORS)])
    return precisions


def contradiction(asked: str, precisions: Mapping[str, str]) -> str | None:
    """Why what was found is not the precision that was asked for; None where it is.

    `tf32` allows its use: which product is computed in it is the library's choice, by shape, and one must be.
    """
    seen = set(precisions.values())
    if seen == {asked} or (asked == "tf32" and seen == {"tf32", "float32"}):
        return None
    return f"precision {asked} was asked for, but the numbers are those of {described(precisions)}"


def described(precisions: Mapping[str, str]) -> str:
    """The one precision of all layers, or that of each: `conv1 tf32, dense1 float32`."""
    if len(set(precisions.values())) == 1:
        return next(iter(precisions.values()))
    return ", ".join(f"{layer} {one}" for layer, one in precisions.items())


def layers(workload: Workload) -> list[str]:
    """The layers that multiply, in the order of the net."""
    return [name.removesuffix("/kernel") for name in workload.weight_shapes if name.endswith("/kernel")]


def weights(workload: Workload, probed: str) -> Weights:
    """Weights with which ones as images come out as RESULTS among the logits, but for what layer `probed` loses.

    Of a convolution only the middle of the kernel is used, so that padding changes nothing; of what is flattened
    only the first pixel, which comes first in H, W, C order.
    """
    made = {name: np.zeros(shape, np.float32) for name, shape in workload.weight_shapes.items()}
    names = layers(workload)
    for layer in names:
        kernel = made[f"{layer}/kernel"]
        middle = kernel[tuple(size // 2 for size in kernel.shape[:-2])]  # (in, out)
        if layer == probed:
            middle[:2, : len(FACTORS)] = np.transpose(FACTORS)
        elif names.index(layer) < names.index(probed):
            middle[0, :2] = 1
        else:
            np.fill_diagonal(middle[: len(FACTORS), : len(FACTORS)], 1)
    return made


def precision(results: np.ndarray) -> str:
    """The precision in which a layer computed RESULTS, (n, len(RESULTS))."""
    sizes = np.abs(results) / RESULTS
    kept = ((sizes > 1 / WITHIN) & (sizes < WITHIN)).all(axis=0)
    lost = (sizes <= 1 / WITHIN).all(axis=0)
    if not kept[0] or not (kept | lost).all():
        return UNKNOWN
    return KEPT.get(tuple(map(bool, kept[1:])), UNKNOWN)
