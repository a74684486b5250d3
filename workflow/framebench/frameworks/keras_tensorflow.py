"""Keras on TensorFlow."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from framebench.frameworks import tensorflow
from framebench.frameworks._keras import KerasTrainer
from framebench.frameworks.tensorflow import graph_flops, out_of_memory, start, traced

__all__ = [
    "ENVIRONMENT",
    "LABEL",
    "MODEL_FILE",
    "OPTIONS",
    "PRECISIONS",
    "TRACKS",
    "TRAINING_OPTIONS",
    "Trainer",
    "out_of_memory",
    "start",
    "traced",
    "versions",
]

LABEL = "Keras (TensorFlow)"
ENVIRONMENT = "tensorflow"
MODEL_FILE = "keras"
TRACKS = ("default", "tuned")
OPTIONS = {
    "cpu": {
        # An allocator that keeps freed memory; offered to every framework alike.
        "allocator": ("system", "tbbmalloc"),
        # keras.io/api/models/model_training_apis, `compile`: several batches in one call of the graph
        # "can greatly improve performance on TPUs or small models with a large Python overhead".
        "steps_per_execution": (1, 10),
        # The same page: compile with XLA. "auto" decides by the model and the device.
        "jit_compile": ("auto", True),
    },
    "cuda": {
        "steps_per_execution": (1, 10),
        "jit_compile": ("auto", True),
    },
}
TRAINING_OPTIONS = ("steps_per_execution",)
# Not float16 on a CPU: 10 steps of vgg-cnn took 121 s in PyTorch and 174 s in TensorFlow, against 1 s in float32.
PRECISIONS = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "tf32", "bfloat16", "float16")}


class Trainer(KerasTrainer):
    backend = tensorflow

    def _batches(self, images: np.ndarray, labels: np.ndarray, input: str) -> tf.data.Dataset:
        if input == "device":
            batches = (
                images.reshape(-1, self.batch_size, *images.shape[1:]),
                labels.reshape(-1, self.batch_size),
            )
            data = self._numbers(*batches) if self.on_gpu else tf.data.Dataset.from_tensor_slices(batches)
        else:
            # Batch, then prefetch: tensorflow.org/guide/data_performance
            data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(self.batch_size)
            data = data.prefetch(tf.data.AUTOTUNE)
        return data.repeat() if self.steps_per_call > 1 else data

    def _numbers(self, images: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
        """The numbers of batches that the step of training takes from the GPU's memory.

        What `fit` is given stands in the host's, and would be copied step by step; a step of one's own is as
        keras.io/guides/custom_train_step_in_tensorflow shows.
        """
        train_step = self.model.train_step
        with tf.device(self.place):
            x, y = tf.constant(images), tf.constant(labels)
        self.model.train_step = lambda number: train_step((tf.gather(x, number), tf.gather(y, number)))
        return tf.data.Dataset.range(len(images))

    def _synchronise(self) -> None:
        tf.test.experimental.sync_devices()

    def _tell(self, function: Callable, *tensors: Any) -> None:
        tf.numpy_function(function, [self._dense(tensor) for tensor in tensors], [])

    def _dense(self, gradient: Any) -> tf.Tensor:
        return tf.convert_to_tensor(gradient)

    def _operations(self, images: np.ndarray) -> set[str]:
        return tensorflow.operations(lambda x: self.model(x, training=self.workload.trains), images)

    def _device(self) -> str:
        return self.model.weights[0].value.device

    def _counted_flops(self, images: np.ndarray) -> int:
        return graph_flops(lambda x: self.model(x, training=False), images)


def versions() -> dict[str, str]:
    return {"framework_version": keras.__version__, "backend": f"tensorflow {tf.__version__}"}
