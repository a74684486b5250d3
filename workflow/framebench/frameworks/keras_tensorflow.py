"""Keras on TensorFlow: `compile` and `fit`, as keras.io/guides/training_with_built_in_methods shows."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from contextlib import suppress

import keras
import numpy as np
import tensorflow as tf

from framebench import workloads
from framebench.frameworks import Observer, Pace
from framebench.frameworks.tensorflow import (
    graph_flops,
    out_of_memory,
    tell_gradients,
    thread_settings,
    watched_dropout,
)
from framebench.workloads.layers import Workload

__all__ = ["ENVIRONMENT", "LABEL", "MODEL_FILE", "TRACKS", "Trainer", "out_of_memory", "versions"]

LABEL = "Keras (TensorFlow)"
ENVIRONMENT = "tensorflow"
MODEL_FILE = "keras"
TRACKS = ("default",)

ENDLESS = 10**9  # epochs: `fit` is ended by the pace


class Trainer:
    def __init__(
        self,
        workload: Workload,
        weights: dict[str, np.ndarray],
        batch_size: int,
        threads: int,
        precision: str,
    ) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.workload = workload
        self.batch_size = batch_size
        keras.config.set_floatx(precision)
        keras.config.set_dtype_policy(precision)
        self.model = self._build()
        self.load(weights)
        self.model.compile(
            optimizer=keras.optimizers.SGD(workload.optimizer.learning_rate, momentum=workload.optimizer.momentum),
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
        with suppress(RunOver):
            self.model.fit(**self.data, epochs=ENDLESS, verbose=0, callbacks=[PaceCallback(pace)])

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self.model.predict(images, batch_size=len(images), verbose=0)

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(self.model.evaluate(images, labels, batch_size=len(images), verbose=0))

    def weights(self) -> dict[str, np.ndarray]:
        return {name: _variable(self.model, name).numpy() for name in self.workload.weight_shapes}

    def load(self, weights: dict[str, np.ndarray]) -> None:
        for name in self.workload.weight_shapes:
            variable = _variable(self.model, name)
            if variable.shape != weights[name].shape:
                raise ValueError(f"{name} has shape {variable.shape} in the model file, not {weights[name].shape}")
            variable.assign(weights[name])

    def settings(self) -> dict[str, object]:
        return thread_settings() | {
            "jit_compile": self.model.jit_compile,
            "steps_per_execution": self.model.steps_per_execution,
        }

    def watch(self, observer: Observer) -> None:
        compute_loss, apply = self.model.compute_loss, self.model.optimizer.apply
        names = {id(_variable(self.model, name)): name for name in self.workload.weight_shapes}

        def watched_loss(*args, **kwargs) -> tf.Tensor:
            loss = compute_loss(*args, **kwargs)
            tf.numpy_function(observer.loss, [loss], [])
            return loss

        def watched_apply(gradients: list[tf.Tensor], variables: list[keras.Variable]) -> None:
            tell_gradients(observer, [names[id(variable)] for variable in variables], gradients)
            apply(gradients, variables)

        self.model.compute_loss = watched_loss
        self.model.optimizer.apply = watched_apply
        for layer in self._dropouts():
            layer.call = watched_dropout(layer.call, observer)

    def without_dropout(self) -> None:
        for layer in self._dropouts():
            layer.rate = 0.0

    def own_initial_weights(self) -> dict[str, np.ndarray]:
        model = self._build()
        return {name: _variable(model, name).numpy() for name in self.workload.weight_shapes}

    def counted_flops(self, images: np.ndarray) -> int:
        return graph_flops(lambda x: self.model(x, training=False), images)

    def _build(self) -> keras.Model:
        return workloads.model_file(self.workload.name, MODEL_FILE).build()

    def _dropouts(self) -> list[keras.layers.Dropout]:
        return [layer for layer in self.model.layers if isinstance(layer, keras.layers.Dropout)]


def _variable(model: keras.Model, name: str) -> keras.Variable:
    layer, attribute = name.split("/")
    return getattr(model.get_layer(layer), attribute)


class RunOver(Exception):  # noqa: N818
    """Leaves `fit` between two steps. `stop_training` would be looked at only after one more."""


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
            raise RunOver
        self.started = True


def versions() -> dict[str, str]:
    return {"framework_version": keras.__version__, "backend": f"tensorflow {tf.__version__}"}
