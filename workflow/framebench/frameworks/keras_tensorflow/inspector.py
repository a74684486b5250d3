"""Inspector of Keras on TensorFlow."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from framebench.frameworks._keras.inspector import KerasInspector
from framebench.frameworks.tensorflow import inspector as backend
from framebench.frameworks.tensorflow.inspector import traced

__all__ = ["Inspector", "traced"]


class Inspector(KerasInspector):
    backend = backend

    def _tell(self, function: Callable, *tensors: Any) -> None:
        tf.numpy_function(function, [self.trainer._dense(tensor) for tensor in tensors], [])

    def _operations(self, images: np.ndarray) -> set[str]:
        return backend.operations(lambda x: self.trainer.model(x, training=self.trainer.workload.trains), images)

    def _counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int:
        step, turns = self.trainer.model.train_step, self.trainer.workload.turns
        return backend.step_flops(lambda x, y: step((x, y)), images, labels, turns)

    def _counted_flops(self, images: np.ndarray) -> int:
        return backend.graph_flops(lambda x: self.trainer.model(x, training=False), images)
