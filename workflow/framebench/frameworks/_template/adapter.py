"""A first adapter, which works as it stands: NumPy as a framework. Put yours in its place, piece by piece.

`make new-framework NAME=…` copies it. Measuring needs no other file; `frameworks/contract.py` defines each method, and
`frameworks/pytorch/adapter.py` is a complete example with tuned settings and a GPU.
"""

import os
from collections.abc import Callable
from itertools import cycle

# Import your framework here: the import is timed.
import numpy as np

from framebench import workloads
from framebench.frameworks.contract import NOT_TUNED, Pace, Tuning, Weights, check_fit, nothing, stored_type
from framebench.workloads.layers import SGD, Workload

LABEL = "Template"  # name for readers
ENVIRONMENT = "template"  # packages: envs/template-cpu.in
MODEL_FILE = "template"  # model files: workloads/<workload>/template.py
COLOUR = "#882255"  # in every figure, different from the other frameworks'
MARKER = "h"
# Track "tuned" needs OPTIONS and TRAINING_OPTIONS too, and a text for each setting in languages/*.yaml.
TRACKS = ("default",)
# For a GPU add "cuda": ("float32", …), and an envs/template-cuda.in.
PRECISIONS = {"cpu": ("float32",)}


class Trainer:
    def __init__(
        self,
        workload: Workload,
        weights: Weights,
        batch_size: int,
        threads: int,
        precision: str,
        *,
        tuning: Tuning = NOT_TUNED,
        device: str = "cpu",
    ) -> None:
        start(threads, precision, device)
        if not isinstance(workload.optimizer, SGD):
            raise ValueError(f"the adapter does not know the optimizer {workload.optimizer}")
        self.optimizer = workload.optimizer
        self.workload = workload
        self.batch_size = batch_size
        self.stored = stored_type(precision)  # float64 is for the certificate
        self.model = workloads.model_file(workload.name, MODEL_FILE)
        self.values = {name: np.zeros(shape, self.stored) for name, shape in workload.weight_shapes.items()}
        self.load(weights)

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        # A framework with a device, or with its own pipeline for data in the host's memory, distinguishes the inputs.
        x = images.reshape(-1, self.batch_size, *images.shape[1:])
        self.batches = list(zip(x, labels.reshape(-1, self.batch_size), strict=True))

    def train(self, pace: Pace) -> None:
        # The loop of the framework's own documentation, with nothing but the steps and the pace.
        for x, y in cycle(self.batches):
            self.step(x, y)
            if pace.over(nothing):  # a framework that computes asynchronously passes a function that waits for it
                return

    def step(self, x: np.ndarray, y: np.ndarray) -> None:
        _, gradients = self.loss_and_gradients(x, y)
        for name, gradient in gradients.items():
            velocity = self.velocities[name]
            velocity *= self.optimizer.momentum
            velocity += gradient
            self.values[name] -= self.optimizer.learning_rate * velocity

    def loss_and_gradients(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Weights]:
        logits, back = self.model.net(self.values, x)
        loss, delta = cross_entropy(logits, y)
        return loss, back(delta)

    def infer(self, pace: Pace, take: Callable[[np.ndarray], object]) -> None:
        for x, _ in cycle(self.batches):
            take(self.logits(x))
            if pace.over(nothing):
                return

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self.model.net(self.values, images)[0]

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(cross_entropy(self.logits(images), labels)[0])

    def weights(self) -> Weights:
        # The neutral layout, which is also NumPy's here: kernels HWIO and (in, out), H, W, C after a flatten.
        return {name: array.copy() for name, array in self.values.items()}

    def load(self, weights: Weights) -> None:
        check_fit(
            {name: array.shape for name, array in weights.items()},
            {name: array.shape for name, array in self.values.items()},
        )
        self.values = {name: np.array(weights[name], self.stored) for name in self.values}
        self.velocities = {name: np.zeros_like(array) for name, array in self.values.items()}

    def settings(self) -> dict[str, object]:
        return {"device": "cpu", "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS")}

    def allocator_peaks_mib(self) -> tuple[float | None, float | None]:
        return None, None


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean loss over the batch, and its gradient by the logits."""
    rows = np.arange(len(labels))
    shifted = logits - logits.max(1, keepdims=True)
    log_share = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    delta = np.exp(log_share)
    delta[rows, labels] -= 1
    return -log_share[rows, labels].mean(), delta / len(labels)


def start(threads: int, precision: str, device: str) -> None:
    # Threads: the worker has set OPENBLAS_NUM_THREADS and the like before NumPy is imported.
    if device != "cpu":
        raise ValueError(f"a GPU was requested, but NumPy {np.__version__} sees none (it computes on CPUs)")


def versions() -> dict[str, str]:
    return {"framework_version": np.__version__, "backend": f"numpy {np.__version__}"}


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError)
