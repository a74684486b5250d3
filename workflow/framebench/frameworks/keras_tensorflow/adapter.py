"""Keras on TensorFlow."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from framebench.frameworks._keras.trainer import KerasTrainer
from framebench.frameworks.tensorflow import adapter as tensorflow_adapter
from framebench.frameworks.tensorflow.adapter import out_of_memory, start

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

LABEL = "Keras (TensorFlow)"
ENVIRONMENT = "tensorflow"
MODEL_FILE = "keras"
COLOUR = "#0072B2"
MARKER = "s"
TRACKS = ("default", "tuned")
OPTIONS = {
    "cpu": {
        # An allocator that keeps freed memory; offered to every framework.
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
    backend = tensorflow_adapter

    def _batches(self, images: np.ndarray, labels: np.ndarray, input: str) -> tf.data.Dataset:
        if input == "device":
            batches = (
                images.reshape(-1, self.batch_size, *images.shape[1:]),
                labels.reshape(-1, self.batch_size, *labels.shape[1:]),
            )
            data = self._numbers(*batches) if self.on_gpu else tf.data.Dataset.from_tensor_slices(batches)
        else:
            # Batch, then prefetch: tensorflow.org/guide/data_performance
            data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(self.batch_size)
            data = data.prefetch(tf.data.AUTOTUNE)
        return data.repeat() if self.steps_per_call > 1 else data

    def _numbers(self, images: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
        """The numbers of batches that the training step takes from the GPU's memory.

        The input of `fit` is in the host's memory, and would be copied step by step; a custom step is as in
        keras.io/guides/custom_train_step_in_tensorflow.
        """
        train_step = self.model.train_step
        with tf.device(self.place):
            x, y = tf.constant(images), tf.constant(labels)
        self.model.train_step = lambda number: train_step((tf.gather(x, number), tf.gather(y, number)))
        return tf.data.Dataset.range(len(images))

    def _synchronise(self) -> None:
        tf.test.experimental.sync_devices()

    def _dense(self, gradient: Any) -> tf.Tensor:
        return tf.convert_to_tensor(gradient)

    def _device(self) -> str:
        return self.model.weights[0].value.device


def versions() -> dict[str, str]:
    return {"framework_version": keras.__version__, "backend": f"tensorflow {tf.__version__}"}
