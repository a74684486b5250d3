"""Keras on JAX."""

import os

os.environ["KERAS_BACKEND"] = "jax"

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from framebench.frameworks._keras.trainer import KerasTrainer
from framebench.frameworks.jax import adapter as jax_adapter
from framebench.frameworks.jax.adapter import device_name, out_of_memory, start

__all__ = [
    "COLOUR",
    "ENVIRONMENT",
    "LABEL",
    "MARKER",
    "MODEL_FILE",
    "OPTIONS",
    "PRECISIONS",
    "TRACKS",
    "TRAINING_OPTIONS",
    "Trainer",
    "out_of_memory",
    "start",
    "versions",
]

LABEL = "Keras (JAX)"
ENVIRONMENT = "jax"
MODEL_FILE = "keras"
COLOUR = "#CC79A7"
MARKER = "P"
TRACKS = ("default", "tuned")
OPTIONS = {
    "cpu": {
        # An allocator that keeps freed memory; offered to every framework.
        "allocator": ("system", "tbbmalloc"),
        # keras.io/api/models/model_training_apis, `compile`: several batches in one call
        # "can greatly improve performance on TPUs or small models with a large Python overhead".
        "steps_per_execution": (1, 10),
        # The same page: compile with XLA. "auto" decides by the model.
        "jit_compile": ("auto", True),
    },
    "cuda": {
        "steps_per_execution": (1, 10),
        "jit_compile": ("auto", True),
    },
}
TRAINING_OPTIONS = ("steps_per_execution",)
PRECISIONS = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "tf32", "bfloat16", "float16")}


class Batches(keras.utils.PyDataset):
    """Batches in their own form, (number, batch size, …), once or endless."""

    def __init__(self, images: Any, labels: Any, endless: bool) -> None:
        super().__init__()
        self.batches = list(zip(images, labels, strict=True))
        self.endless = endless

    @property
    def num_batches(self) -> int | None:
        return None if self.endless else len(self.batches)

    def __getitem__(self, number: int) -> tuple:
        return self.batches[number % len(self.batches)]


class Trainer(KerasTrainer):
    backend = jax_adapter

    def _batches(self, images: np.ndarray, labels: np.ndarray, input: str) -> Batches:
        x: Any = images.reshape(-1, self.batch_size, *images.shape[1:])
        y: Any = labels.reshape(-1, self.batch_size, *labels.shape[1:])
        if input == "device":
            with jax.default_device(self.place):
                x, y = jnp.asarray(x), jnp.asarray(y)
        return Batches(x, y, endless=self.steps_per_call > 1)

    def _synchronise(self) -> None:
        # Taken out of Keras's own dictionary and lists, which JAX would treat as objects without anything to wait for.
        jax.block_until_ready([array for group in self.model._jax_state.values() for array in group])

    def _update_variables(self) -> None:
        # On JAX, `fit` keeps their values to itself unless they are requested this way.
        self.model.jax_state_sync()

    def _device(self) -> str:
        return device_name(self.model.weights[0].value.device)


def versions() -> dict[str, str]:
    return {"framework_version": keras.__version__, "backend": f"jax {jax.__version__}"}
