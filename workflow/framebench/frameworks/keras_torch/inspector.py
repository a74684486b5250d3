"""Inspector of Keras on PyTorch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch

from framebench.frameworks._keras.inspector import KerasInspector
from framebench.frameworks.pytorch import inspector as backend
from framebench.frameworks.pytorch.inspector import traced

__all__ = ["Inspector", "traced"]


class Inspector(KerasInspector):
    backend = backend

    def _tell(self, function: Callable, *tensors: Any) -> None:
        function(*(keras.ops.convert_to_numpy(tensor) for tensor in tensors))

    def _operations(self, images: np.ndarray) -> set[str]:
        return backend.operations(lambda: self.trainer.model(images, training=self.trainer.workload.trains))

    def _counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int:
        batch = tuple(torch.from_numpy(array).to(self.trainer.place) for array in (images, labels))
        return backend.counted_flops(lambda: self.trainer.model.train_step(batch))

    def _counted_flops(self, images: np.ndarray) -> int:
        return backend.counted_flops(lambda: self.trainer.logits(images))
