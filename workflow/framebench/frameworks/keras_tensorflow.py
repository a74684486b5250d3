"""Keras on TensorFlow: `compile` and `fit`, as keras.io/guides/training_with_built_in_methods shows."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from collections.abc import Callable
from contextlib import suppress

import keras
import numpy as np
import tensorflow as tf

from framebench import workloads
from framebench.frameworks import NOT_TUNED, Observer, Pace, Tuning, check_fit, computed_type, stored_type
from framebench.frameworks.tensorflow import (
    CPU,
    allocator_peaks_mib,
    copy,
    graph_flops,
    out_of_memory,
    product,
    runtime_settings,
    start,
    tell_gradients,
    watched_dropout,
)
from framebench.workloads.layers import Workload

__all__ = [
    "ENVIRONMENT",
    "LABEL",
    "MODEL_FILE",
    "OPTIONS",
    "PRECISIONS",
    "TRACKS",
    "Trainer",
    "out_of_memory",
    "start",
    "versions",
]

LABEL = "Keras (TensorFlow)"
ENVIRONMENT = "tensorflow"
MODEL_FILE = "keras"
TRACKS = ("default", "tuned")
OPTIONS = {
    # An allocator that keeps freed memory; offered to every framework alike.
    "allocator": ("system", "tbbmalloc"),
    # keras.io/api/models/model_training_apis, `compile`: several batches in one call of the graph
    # "can greatly improve performance on TPUs or small models with a large Python overhead".
    "steps_per_execution": (1, 10),
    # The same page: compile with XLA. "auto" decides by the model and the device.
    "jit_compile": ("auto", True),
}
# Not float16 on a CPU: 10 steps of vgg-cnn took 121 s in PyTorch and 174 s in TensorFlow, against 1 s in float32.
PRECISIONS = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "tf32", "bfloat16", "float16")}

ENDLESS = 10**9  # epochs: `fit` is ended by the pace
CALLS_PER_EPOCH = 1000


class Trainer:
    def __init__(
        self,
        workload: Workload,
        weights: dict[str, np.ndarray],
        batch_size: int,
        threads: int,
        precision: str,
        *,
        tuning: Tuning = NOT_TUNED,
        device: str = "cpu",
    ) -> None:
        self.place = start(threads, precision, device)
        self.on_gpu = self.place != CPU
        self.workload = workload
        self.batch_size = batch_size
        self.steps_per_call: int = tuning.get("steps_per_execution", 1)
        self.stored, self.computed = stored_type(precision), computed_type(precision)
        keras.config.set_floatx(self.stored)
        # keras.io/api/mixed_precision/policy; `compile` adds the loss scaling of mixed_float16.
        keras.config.set_dtype_policy(self.computed if self.computed == self.stored else f"mixed_{self.computed}")
        with tf.device(self.place):
            self.model = self._build()
        self.train_step = self.model.train_step
        self.load(weights)
        self.model.compile(
            optimizer=keras.optimizers.SGD(workload.optimizer.learning_rate, momentum=workload.optimizer.momentum),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=self.steps_per_call,
            jit_compile=tuning.get("jit_compile", "auto"),
        )

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        if input == "device":
            batches = (
                images.reshape(-1, self.batch_size, *images.shape[1:]),
                labels.reshape(-1, self.batch_size),
            )
            self.data = {"x": self._numbers(*batches) if self.on_gpu else tf.data.Dataset.from_tensor_slices(batches)}
        elif self.steps_per_call > 1:
            # Batch, then prefetch: tensorflow.org/guide/data_performance
            data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(self.batch_size)
            self.data = {"x": data.prefetch(tf.data.AUTOTUNE)}
        else:
            self.data = {"x": images, "y": labels, "batch_size": self.batch_size, "shuffle": False}
        if self.steps_per_call > 1:
            # Without an end, so that no call is left with fewer batches.
            self.data = {"x": self.data["x"].repeat(), "steps_per_epoch": self.steps_per_call * CALLS_PER_EPOCH}

    def _numbers(self, images: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
        """The numbers of batches that the step of training takes from the GPU's memory.

        What `fit` is given stands in the host's, and would be copied step by step; a step of one's own is as
        keras.io/guides/custom_train_step_in_tensorflow shows.
        """
        with tf.device(self.place):
            x, y = tf.constant(images), tf.constant(labels)
        self.model.train_step = lambda number: self.train_step((tf.gather(x, number), tf.gather(y, number)))
        return tf.data.Dataset.range(len(images))

    def train(self, pace: Pace) -> None:
        with suppress(RunOver):
            self.model.fit(**self.data, epochs=ENDLESS, verbose=0, callbacks=[PaceCallback(pace, self.steps_per_call)])

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self.model.predict(images, batch_size=len(images), verbose=0).astype(self.stored)

    def layer_inputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        reaching = {
            layer.name: layer.input
            for layer in self.model.layers
            if f"{layer.name}/kernel" in self.workload.weight_shapes
        }
        found = keras.Model(self.model.inputs, reaching)([images], training=False)
        return {name: tensor.numpy() for name, tensor in found.items()}

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(self.model.evaluate(images, labels, batch_size=len(images), verbose=0))

    def weights(self) -> dict[str, np.ndarray]:
        return {name: _variable(self.model, name).numpy() for name in self.workload.weight_shapes}

    def load(self, weights: dict[str, np.ndarray]) -> None:
        variables = {f"{layer.name}/{one.name}": one for layer in self.model.layers for one in layer.weights}
        check_fit(
            {name: array.shape for name, array in weights.items()}, {name: one.shape for name, one in variables.items()}
        )
        for name, array in weights.items():
            variables[name].assign(array)

    def settings(self) -> dict[str, object]:
        return runtime_settings() | {
            "jit_compile": self.model.jit_compile,
            "steps_per_execution": self.model.steps_per_execution,
            "device": self.model.weights[0].value.device,
            "dtype_policy": self.model.dtype_policy.name,
            "optimizer": type(self.model.optimizer).__name__,
        }

    def allocator_peaks_mib(self) -> tuple[float | None, float | None]:
        return allocator_peaks_mib(self.place)

    def product(self, size: int) -> Callable[[int], None]:
        return product(self.place, self.computed, size)

    def copy(self, mib: int) -> Callable[[int], None]:
        return copy(self.place, mib)

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

    def __init__(self, pace: Pace, steps_per_call: int) -> None:
        super().__init__()
        self.pace = pace
        self.steps_per_call = steps_per_call
        self.started = False

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if self.started and self.pace.over(tf.test.experimental.sync_devices, self.steps_per_call):
            raise RunOver
        self.started = True


def versions() -> dict[str, str]:
    return {"framework_version": keras.__version__, "backend": f"tensorflow {tf.__version__}"}
