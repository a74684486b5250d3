"""The inputs of a certificate, the same for every framework and the reference, and the names of the outputs."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

from framebench.workloads.layers import OF_BATCH_NORM, Workload

Batches = list[tuple[np.ndarray, np.ndarray]]

# Prefixes in the file of a problem: the given weights, and the reference's values.
WEIGHTS = "weights/"
EXPECTED = "expected/"

PRECISIONS = ("float64", "float32")
# Each precision is proved with another way of feeding the data, so that both ways are; on either track.
INPUTS = {"float64": "device", "float32": "host"}

BATCH_SIZE = 2  # enough to tell a mean over the batch from a sum; more would cost without showing more
STEPS = 10
CANDIDATES = 8  # images drawn per batch, from which BATCH_SIZE are chosen
# An optimizer's first step shows gradient and learning rate, the third its memory, the tenth accumulated errors.
SNAPSHOTS = (1, 3, 10)

DROPOUT_BATCH_SIZE = 16
DROPOUT_STEPS = 4

# The reference, whose spread makes the bound, learns once for all frameworks; each framework uses fewer seeds.
REFERENCE_SEEDS = range(1, 9)
LEARNING_SEEDS = REFERENCE_SEEDS[:3]
LEARNING_CLASSES = 4  # few, so that a short lesson is enough
LEARNING_BATCH_SIZE = 16
# Limit of the operations, and so of the steps: a large net would hold up the whole set.
LEARNING_FLOPS = 1.2e11
LEARNING_STEPS_AT_MOST = 60
HELD_OUT_AT_MOST = 256


@dataclass(frozen=True)
class Problem:
    """Weights and batches in float32, so that they are the same numbers in every precision."""

    weights: dict[str, np.ndarray]
    images: np.ndarray  # (steps · BATCH_SIZE, *input_shape), in [0, 1] or tokens
    labels: np.ndarray  # int64

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The content of a problem file, from `read_problem`."""
        weights = {f"{WEIGHTS}{name}": array for name, array in self.weights.items()}
        return weights | {"images": self.images, "labels": self.labels}

    def batches(self, precision: str) -> Batches:
        """One batch per step of the workload, images in `precision`."""
        return batched(typed(self.images, precision), self.labels, BATCH_SIZE)


def certified(workload: Workload) -> Workload:
    """The workload with its optimizer's numbers rounded to float32, as measured.

    They too must be the same numbers in every precision: Keras rounds a momentum of 0.9 to float32 even when it
    computes in float64, PyTorch does not.
    """
    if workload.optimizer is None:
        return workload
    numbers = {name: float(np.float32(value)) for name, value in vars(workload.optimizer).items()}
    return dataclasses.replace(workload, optimizer=type(workload.optimizer)(**numbers))


def drawn(workload: Workload, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Weights, and images and labels for every step, from which the problem's batches are chosen.

    The weights are the workload's own initial ones, with two changes: biases are not zero, so that a dropped one shows,
    and the numbers of a batch norm are all different.
    """
    weights = workload.initial_weights(seed)
    # Only `random()`, whose numbers are the same in every version of NumPy.
    generator = np.random.Generator(np.random.PCG64([seed, 1]))
    for name, array in weights.items():
        weight = name.rpartition("/")[2]
        if weight in ("bias", *OF_BATCH_NORM):
            spread = 0.5 if weight in ("gamma", "moving_variance") else 0.1
            weights[name] = (array + spread * (2 * generator.random(array.shape) - 1)).astype(np.float32)
    count = (STEPS, CANDIDATES) if workload.trains else (1, BATCH_SIZE)
    images = generator.random((*count, *workload.input_shape), np.float32)
    if workload.tokens:
        images = (images * workload.tokens).astype(np.int64)
    labels = (generator.random(count) * workload.shapes[-1][0]).astype(np.int64)
    return weights, images, labels


def typed(samples: np.ndarray, precision: str) -> np.ndarray:
    """Pixels in a precision; tokens as they are."""
    return samples if samples.dtype.kind == "i" else samples.astype(precision)


def read_problem(path: Path) -> Problem:
    with np.load(path, allow_pickle=False) as file:
        weights = {name.removeprefix(WEIGHTS): file[name] for name in file.files if name.startswith(WEIGHTS)}
        return Problem(weights, file["images"], file["labels"])


@dataclass(frozen=True)
class Lesson:
    """One learning task, the same for every framework; pixels float32 in [−2, 2], or tokens."""

    steps: int
    images: np.ndarray  # whole batches, repeated where there are fewer than steps
    labels: np.ndarray
    held_out_images: np.ndarray
    held_out_labels: np.ndarray


def lesson(workload: Workload, data: Path) -> Lesson | None:
    """The lesson from the first classes of the data file: its first images to learn from, its last ones to test on.

    At most a quarter of a small file is kept for testing; None where the rest is less than a batch, and for inference,
    where nothing is learned. Pixels are centred and scaled as is usual in training: from [0, 1], the VGG-style net
    learns nothing in so few steps.
    """
    if not workload.trains:
        return None
    with np.load(data, allow_pickle=False) as file:
        chosen = file["labels"] < LEARNING_CLASSES
        images, labels = file["samples"][chosen], file["labels"][chosen].astype(np.int64)
    held_out = min(HELD_OUT_AT_MOST, len(labels) // 4)
    steps = min(LEARNING_STEPS_AT_MOST, int(LEARNING_FLOPS / (workload.flops_per_sample * LEARNING_BATCH_SIZE)))
    count = min(steps, (len(labels) - held_out) // LEARNING_BATCH_SIZE) * LEARNING_BATCH_SIZE
    if not count:
        return None

    def scaled(some: np.ndarray) -> np.ndarray:
        samples = workload.samples(some)
        return samples if workload.tokens else samples * 4 - 2

    return Lesson(steps, scaled(images[:count]), labels[:count], scaled(images[-held_out:]), labels[-held_out:])


def learning_weights(workload: Workload, seed: int) -> dict[str, np.ndarray]:
    """The initial weights of a lesson: the workload's own, √2 times as large.

    ReLUs halve the variance that Glorot's weights keep from layer to layer (He et al. 2015, section 2.2), and a deep
    net would then pass on so little that a short lesson would have no effect.
    """
    return {name: np.float32(sqrt(2)) * array for name, array in workload.initial_weights(seed).items()}


def batched(images: np.ndarray, labels: np.ndarray, size: int) -> Batches:
    """Whole batches, in order."""
    starts = range(0, len(labels), size)
    return [(images[i : i + size], labels[i : i + size]) for i in starts]


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images whose largest logit is that of their label."""
    return float((logits.argmax(axis=1) == labels).mean())


def quantities(workload: Workload) -> Sequence[str]:
    """Everything compared in one precision, in causal order."""
    weight_shapes = workload.weight_shapes
    if not workload.trains:
        return [*(reaching(layer) for layer in layers(weight_shapes)), "evaluation output", "output"]
    return [
        *(reaching(layer) for layer in layers(weight_shapes)),
        "evaluation logits",
        "evaluation loss",
        *(f"gradient/{name}" for name in weight_shapes),
        *(f"{update(k)}/{name}" for k in SNAPSHOTS for name in weight_shapes),
        "training loss",
    ]


def tuned_quantities(workload: Workload) -> Sequence[str]:
    """The quantities compared in track `tuned`: the outcome of all steps."""
    return [f"{update(STEPS)}/{name}" for name in workload.weight_shapes] if workload.trains else ["output"]


def tuned(precision: str) -> str:
    """Prefix of the arrays of track `tuned`, shown to readers as their precision."""
    return f"{precision}, tuned, {INPUTS[precision]}"


def layers(weight_shapes: Iterable[str]) -> list[str]:
    """The layers that have weights, in order."""
    return [name.removesuffix("/kernel") for name in weight_shapes if name.endswith("/kernel")]


def reaching(layer: str) -> str:
    """Name of a layer's input in evaluation mode: of the first sample only, to keep the files small."""
    return f"evaluation input/{layer}"


def update(step: int) -> str:
    """Name of a weight's change up to a step."""
    return f"update after {step} step{'s' if step > 1 else ''}"
