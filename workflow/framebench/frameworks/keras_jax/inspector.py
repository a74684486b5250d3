"""Inspector of Keras on JAX."""

from collections.abc import Callable
from typing import Any

import numpy as np

from framebench.frameworks._keras.inspector import KerasInspector
from framebench.frameworks.jax import inspector as backend
from framebench.frameworks.jax.inspector import traced

__all__ = ["Inspector", "traced"]


class Inspector(KerasInspector):
    backend = backend

    def _tell(self, function: Callable, *tensors: Any) -> None:
        backend.tell(function, *tensors)

    def _operations(self, images: np.ndarray) -> set[str]:
        # Not in training: a dropout layer would keep a traced value as its next seed.
        return backend.operations(lambda x: self.trainer.model(x, training=False), images)

    def _counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int:
        model = self.trainer.model
        self.trainer._update_variables()
        model.optimizer.build(model.trainable_variables)  # before the first step
        state = [
            [variable.value for variable in group]
            for group in (
                model.trainable_variables,
                model.non_trainable_variables,
                model.optimizer.variables,
                model.metrics_variables,
            )
        ]
        return backend.traced_flops(model.train_step, state, (images, labels))

    def _counted_flops(self, images: np.ndarray) -> int:
        return backend.traced_flops(lambda x: self.trainer.model(x, training=False), images)
