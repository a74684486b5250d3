"""Inspector of Keras on any backend: its layers, and the methods that `fit` calls in every step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any

import keras
import numpy as np

from framebench.frameworks._keras.trainer import KerasTrainer, own_name, variable_of
from framebench.frameworks.contract import Observer, Weights, kernels


class KerasInspector(ABC):
    """An Inspector without its backend's part."""

    backend: ModuleType  # the inspector of the backend

    def __init__(self, trainer: KerasTrainer) -> None:
        self.trainer: Any = trainer

    def layer_inputs(self, images: np.ndarray) -> Weights:
        own = {layer.name: layer for layer in self.trainer.model.layers}
        reaching = {
            layer: _before_padding(own[own_name(layer)].input)
            for layer in self.trainer.workload.kinds
            if f"{layer}/kernel" in self.trainer.workload.weight_shapes and own_name(layer) in own
        }
        found = keras.Model(self.trainer.model.inputs, reaching)([images], training=False)
        return {name: keras.ops.convert_to_numpy(tensor) for name, tensor in found.items()}

    def watch(self, observer: Observer) -> None:
        compute_loss, apply = self.trainer.model.compute_loss, self.trainer.model.optimizer.apply
        names = {id(variable_of(self.trainer.model, name)): name for name in self.trainer.workload.weight_shapes}

        # Keras calls both outside of training steps too, in evaluation and to infer shapes.
        def watched_loss(*args, training: bool = True) -> Any:
            loss = compute_loss(*args, training=training)
            if training:
                self._tell(observer.loss, loss)
            return loss

        def watched_apply(gradients: list, *others) -> None:
            # Some backends have no gradient for a variable that the net does not use.
            pairs = zip(self.trainer.model.trainable_variables, gradients, strict=True)
            known = {names[id(variable)]: one for variable, one in pairs if one is not None}
            self._tell(lambda *arrays: observer.gradients(dict(zip(known, arrays, strict=True))), *known.values())
            apply(gradients, *others)

        self.trainer.model.compute_loss = watched_loss
        self.trainer.model.optimizer.apply = watched_apply
        for layer in self._dropouts():
            layer.call = self._watched_dropout(layer.call, observer)

    def _watched_dropout(self, dropout: Callable, observer: Observer) -> Callable:
        def watched(x: Any, training: bool = False) -> Any:
            y = dropout(x, training=training)
            if training:
                self._tell(observer.dropout, x, y)
            return y

        return watched

    def without_dropout(self) -> None:
        for layer in self._dropouts():
            layer.rate = 0.0

    def own_initial_weights(self) -> Weights:
        return self.trainer._values(self.trainer._build())

    def counted_flops(self, images: np.ndarray) -> int | None:
        # No backend counts every iteration of a loop.
        return None if self.trainer.workload.recurrent else self._counted_flops(images)

    def counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int | None:
        if self.trainer.workload.recurrent and self.trainer.on_gpu:
            return None  # no counter knows cuDNN's kernel
        return self._counted_step_flops(images, labels)

    @abstractmethod
    def _counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int:
        """Like `counted_step_flops`, where the backend has a counter for the net."""

    @abstractmethod
    def _counted_flops(self, images: np.ndarray) -> int:
        """Like `counted_flops`, where the backend has a counter for the net."""

    @abstractmethod
    def _operations(self, images: np.ndarray) -> Collection[str]:
        """The names of the operations that the backend runs for a batch."""

    def _execution(self) -> str:
        if self.trainer.model.jit_compile:
            return "compiled"
        return "eager" if self.trainer.model.run_eagerly or keras.backend.backend() == "torch" else "graph"

    @abstractmethod
    def _tell(self, function: Callable, *tensors: Any) -> None:
        """Inside a training step: call `function` with these as NumPy arrays when the step runs, in order."""

    def kernels(self, images: np.ndarray) -> dict[str, str]:
        ran = self._operations(images)
        backend = self.backend
        return kernels(self.trainer.workload, self._execution(), ran, backend.CUDNN_RNN, backend.BATCH_NORMS)

    def product(self, size: int) -> Callable[[int], None]:
        return self.backend.product(self.trainer.place, self.trainer.computed, size)

    def copy(self, mib: int) -> Callable[[int], None]:
        return self.backend.copy(self.trainer.place, mib)

    def _dropouts(self) -> list[keras.layers.Dropout]:
        return [layer for layer in self.trainer.model.layers if isinstance(layer, keras.layers.Dropout)]


def _before_padding(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """A layer's input; in the spec, its padding is part of the layer."""
    operation = tensor._keras_history.operation
    return operation.input if isinstance(operation, keras.layers.ZeroPadding2D) else tensor
