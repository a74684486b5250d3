"""Keras on TensorFlow: `compile` and `fit`, as keras.io/guides/training_with_built_in_methods shows."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

from framebench import workloads
from framebench.frameworks.tensorflow import out_of_memory, thread_settings
from framebench.measure.pace import Pace
from framebench.workloads.layers import Workload

__all__ = ["ENVIRONMENT", "LABEL", "MODEL_FILE", "TRACKS", "Trainer", "out_of_memory", "versions"]

LABEL = "Keras (TensorFlow)"
ENVIRONMENT = "tensorflow"
MODEL_FILE = "keras"
TRACKS = ("default",)

ENDLESS = 10**9  # epochs: `fit` is ended by the pace


class Trainer:
    def __init__(
        self, workload: Workload, weights: dict[str, np.ndarray], batch_size: int, threads: int
    ) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.workload = workload
        self.batch_size = batch_size
        self.model: keras.Model = workloads.model_file(workload.name, MODEL_FILE).build()
        self.load(weights)
        self.model.compile(
            optimizer=keras.optimizers.SGD(
                workload.optimizer.learning_rate, momentum=workload.optimizer.momentum
            ),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        if input == "device":
            batches = (
                images.reshape(-1, self.batch_size, *images.shape[1:]),
                labels.reshape(-1, self.batch_size),
            )
            self.data = {"x": tf.data.Dataset.from_tensor_slices(batches)}
        else:
            self.data = {"x": images, "y": labels, "batch_size": self.batch_size, "shuffle": False}

    def train(self, pace: Pace) -> None:
        self.model.fit(**self.data, epochs=ENDLESS, verbose=0, callbacks=[PaceCallback(pace)])

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(self.model.evaluate(images, labels, batch_size=len(images), verbose=0))

    def weights(self) -> dict[str, np.ndarray]:
        return {name: self._variable(name).numpy() for name in self.workload.weight_shapes}

    def load(self, weights: dict[str, np.ndarray]) -> None:
        for name in self.workload.weight_shapes:
            self._variable(name).assign(weights[name])

    def settings(self) -> dict[str, object]:
        return thread_settings() | {
            "jit_compile": self.model.jit_compile,
            "steps_per_execution": self.model.steps_per_execution,
        }

    def _variable(self, name: str) -> keras.Variable:
        layer, attribute = name.split("/")
        return getattr(self.model.get_layer(layer), attribute)


class PaceCallback(keras.callbacks.Callback):
    """Reports every step to the pace and ends `fit` when the run is over.

    It listens to the beginning of the next step: a callback at a step's end would make Keras convert the
    loss to a Python number after every step, which `fit` does not do by itself (callback_list.py, async dispatch).
    """

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace
        self.started = False

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if self.started and self.pace.over(synchronise=tf.test.experimental.sync_devices):
            self.model.stop_training = True
        self.started = True


def versions() -> dict[str, str]:
    return {"framework_version": keras.__version__, "backend": f"tensorflow {tf.__version__}"}
