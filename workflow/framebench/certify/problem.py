"""What every framework and the reference are given for a certificate, and the names of what comes back."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from framebench import files
from framebench.workloads.layers import Shape, Workload

Batches = list[tuple[np.ndarray, np.ndarray]]

WEIGHTS = "weights/"

PRECISIONS = ("float64", "float32")
# Each precision is proved with the data given in another way, so that both ways are.
INPUTS = {"float64": "device", "float32": "host"}

BATCH_SIZE = 4
STEPS = 10
CANDIDATES = 16  # images drawn per batch, of which BATCH_SIZE are chosen
# An optimizer's first step shows gradient and learning rate, the third its memory, the tenth what adds up.
SNAPSHOTS = (1, 3, 10)

DROPOUT_BATCH_SIZE = 16
DROPOUT_STEPS = 4

LEARNING_SEEDS = (1, 2, 3)
LEARNING_BATCH_SIZE = 16
# As many steps as these operations allow, so that a large net does not hold up the whole set.
LEARNING_FLOPS = 1.5e11
LEARNING_STEPS_AT_MOST = 150
HELD_OUT_AT_MOST = 400


@dataclass(frozen=True)
class Problem:
    """Weights and batches in float32, so that they are the same numbers in every precision."""

    weights: dict[str, np.ndarray]
    images: np.ndarray  # (STEPS · BATCH_SIZE, height, width, channels) in [0, 1]
    labels: np.ndarray  # int64

    def batches(self, precision: str) -> Batches:
        """The STEPS batches, images in `precision`."""
        images = self.images.astype(precision)
        return batched(images, self.labels, BATCH_SIZE)


def certified(workload: Workload) -> Workload:
    """The workload with its optimizer's numbers rounded to float32, as measured.

    They too must be the same numbers in every precision: Keras rounds a momentum of 0.9 to float32 even when
    it computes in float64, PyTorch does not.
    """
    numbers = {name: float(np.float32(value)) for name, value in vars(workload.optimizer).items()}
    return dataclasses.replace(workload, optimizer=dataclasses.replace(workload.optimizer, **numbers))


def drawn(workload: Workload, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Weights, and CANDIDATES images and labels for every step, to choose the problem's batches from.

    The weights are the workload's own initial ones, but with biases that are not zero, to show a dropped one.
    """
    weights = workload.initial_weights(seed)
    # Only `random()`, whose numbers are the same in every version of NumPy.
    generator = np.random.Generator(np.random.PCG64([seed, 1]))
    for name, array in weights.items():
        if name.endswith("/bias"):
            weights[name] = (0.2 * generator.random(array.shape) - 0.1).astype(np.float32)
    images = generator.random((STEPS, CANDIDATES, *workload.input_shape), np.float32)
    labels = (generator.random((STEPS, CANDIDATES)) * workload.shapes[-1][0]).astype(np.int64)
    return weights, images, labels


def read_problem(path: Path) -> Problem:
    with np.load(path, allow_pickle=False) as file:
        weights = {name.removeprefix(WEIGHTS): file[name] for name in file.files if name.startswith(WEIGHTS)}
        return Problem(weights, file["images"], file["labels"])


def write_problem(path: Path, problem: Problem) -> None:
    weights = {f"{WEIGHTS}{name}": array for name, array in problem.weights.items()}
    with files.whole(path, "wb") as file:
        np.savez(file, images=problem.images, labels=problem.labels, **weights)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Lesson:
    """One learning task: the same schedule for every framework; pixels float32 in [0, 1]."""

    images: np.ndarray
    labels: np.ndarray
    held_out_images: np.ndarray
    held_out_labels: np.ndarray

    @property
    def steps(self) -> int:
        return len(self.labels) // LEARNING_BATCH_SIZE


def lesson(workload: Workload, data: Path) -> Lesson:
    """The first images of the data file to learn from, each once, and its last ones to test on.

    Of a small file at most a quarter is kept for testing, and there are fewer steps.
    """
    with np.load(data, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    held_out = min(HELD_OUT_AT_MOST, len(labels) // 4)
    flops_per_step = workload.flops_per_sample * LEARNING_BATCH_SIZE
    whole_batches = (len(labels) - held_out) // LEARNING_BATCH_SIZE
    steps = min(LEARNING_STEPS_AT_MOST, int(LEARNING_FLOPS / flops_per_step), whole_batches)
    count = steps * LEARNING_BATCH_SIZE
    return Lesson(
        images[:count].astype(np.float32) / 255,
        labels[:count].astype(np.int64),
        images[-held_out:].astype(np.float32) / 255,
        labels[-held_out:].astype(np.int64),
    )


def batched(images: np.ndarray, labels: np.ndarray, size: int) -> Batches:
    """Whole batches, in order."""
    starts = range(0, len(labels), size)
    return [(images[i : i + size], labels[i : i + size]) for i in starts]


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images whose largest logit is that of their label."""
    return float((logits.argmax(axis=1) == labels).mean())


def quantities(weight_shapes: dict[str, Shape]) -> Sequence[str]:
    """Everything compared in one precision, in the order in which one thing leads to the next."""
    return [
        "evaluation logits",
        "evaluation loss",
        *(f"gradient/{name}" for name in weight_shapes),
        *(f"{update(k)}/{name}" for k in SNAPSHOTS for name in weight_shapes),
        "training loss",
    ]


def update(step: int) -> str:
    """Name of what the optimizer changed up to a step."""
    return f"update after {step} step{'s' if step > 1 else ''}"
