"""One adapter per framework, and the small contract that the clock and the certificate need from each.

An adapter module imports its framework at the top (that import is timed) and declares
    LABEL        the framework's name as a reader knows it
    ENVIRONMENT  which of envs/ it is installed by
    MODEL_FILE   which file of a workload's folder it builds its model from
    TRACKS       how it can be driven: "default", the code that its own documentation shows
and holds `Trainer`, `versions()` and `out_of_memory(error)`.
"""

import importlib
from typing import Protocol

import numpy as np

from framebench.measure.pace import Pace
from framebench.workloads.layers import Workload

Weights = dict[str, np.ndarray]  # neutral name → neutral array, see Workload.weight_shapes


class Trainer(Protocol):
    """A model of one workload, in one framework, that can be fed, trained and looked into."""

    def __init__(self, workload: Workload, weights: Weights, batch_size: int, threads: int) -> None:
        """Build the model with these initial weights, using `threads` CPU threads."""

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        """Take the data: float32 (n, height, width, channels) in [0, 1] and int64 (n,), n a multiple of the batch.

        `device`: cut into batches on the device now; `host`: left in host memory for the framework's pipeline.
        """

    def train(self, pace: Pace) -> None:
        """Train on the batches in order, again and again, until `pace` says that the run is over."""

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Loss in evaluation mode, shapes and types as in `feed`."""

    def weights(self) -> Weights:
        """The present weights in the neutral layout."""

    def load(self, weights: Weights) -> None:
        """Replace the weights; KeyError or ValueError where a name or a shape does not fit."""

    def settings(self) -> dict[str, object]:
        """What is in effect in the framework, as it reports it itself."""


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
