"""One adapter per framework, and the small contract that the clock and the certificate need from each.

An adapter module imports its framework at the top (that import is timed) and declares
    LABEL        the framework's name as a reader knows it
    ENVIRONMENT  which of envs/ it is installed by
    MODEL_FILE   which file of a workload's folder it builds its model from
    TRACKS       how it can be driven: "default", the code that its own documentation shows
and holds `Trainer`, `versions()` and `out_of_memory(error)`.
"""

import importlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from framebench.workloads.layers import Workload

Weights = dict[str, np.ndarray]  # neutral name → neutral array, see Workload.weight_shapes


class Pace(Protocol):
    """Listens to the training loop, which belongs to the framework."""

    def over(self, synchronise: Callable[[], object]) -> bool:
        """Is told of every step; may call `synchronise`, which waits for the device. True: stop training."""


class Observer(Protocol):
    """Is told what happens inside every training step; for the certificate, never while measuring."""

    def loss(self, value: np.ndarray) -> None:
        """The loss that the step minimises, a scalar."""

    def gradients(self, gradients: Weights) -> None:
        """What the optimizer is given, in the neutral layout."""

    def dropout(self, before: np.ndarray, after: np.ndarray) -> None:
        """What one dropout layer was given and what it passed on; called layer by layer."""


class Trainer(Protocol):
    """A model of one workload, in one framework, that can be fed, trained and looked into."""

    def __init__(self, workload: Workload, weights: Weights, batch_size: int, threads: int, precision: str) -> None:
        """Build the model with these initial weights, using `threads` CPU threads.

        `precision` is `float32`, or for the certificate `float64`: the type of weights and images.
        ValueError or KeyError naming the layer where the weights do not fit the workload's model file.
        """

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        """Take the data: (n, height, width, channels) in [0, 1] and int64 (n,), n a multiple of the batch.

        `device`: cut into batches on the device now; `host`: left in host memory for the framework's pipeline.
        """

    def train(self, pace: Pace) -> None:
        """Train on the batches in order, again and again, until `pace` says that the run is over."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes) in evaluation mode."""

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Loss in evaluation mode, shapes and types as in `feed`."""

    def weights(self) -> Weights:
        """The present weights in the neutral layout."""

    def load(self, weights: Weights) -> None:
        """Replace the weights; KeyError or ValueError where a name or a shape does not fit."""

    def settings(self) -> dict[str, object]:
        """What is in effect in the framework, as it reports it itself."""

    def watch(self, observer: Observer) -> None:
        """Tell `observer` of every training step from now on; before the first one."""

    def without_dropout(self) -> None:
        """Make the dropout layers pass everything in training too; before the first training step."""

    def own_initial_weights(self) -> Weights | None:
        """What the model file draws when nobody copies weights into it; None where it draws none."""

    def counted_flops(self, images: np.ndarray) -> int | None:
        """Floating-point operations of `logits` on these images, by the framework's own counter.

        Convolutions and matrix products only, as in the spec; None where there is no counter. Forward only,
        since TensorFlow's takes a `valid` convolution's way back to be as large as its padded input.
        """


class Adapter(Protocol):
    """What an adapter module holds."""

    LABEL: str
    ENVIRONMENT: str
    MODEL_FILE: str
    TRACKS: tuple[str, ...]
    Trainer: type[Trainer]

    @staticmethod
    def versions() -> dict[str, str]:
        """`framework_version`, and `backend`: what computes under the framework, with its version."""

    @staticmethod
    def out_of_memory(error: BaseException) -> bool:
        """Whether the error says that memory ran out."""


def load(name: str) -> Adapter:
    """The adapter of framework `name`; importing it imports the framework."""
    return importlib.import_module(f"framebench.frameworks.{name.replace('-', '_')}")  # type: ignore[return-value]
