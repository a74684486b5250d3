"""Keras on PyTorch."""

import os

os.environ["KERAS_BACKEND"] = "torch"

from typing import Any

import keras
import numpy as np
import torch
from torch.utils.data import DataLoader

from framebench.frameworks._keras.trainer import KerasTrainer
from framebench.frameworks.contract import NOT_TUNED, Tuning
from framebench.frameworks.pytorch import adapter as pytorch_adapter
from framebench.frameworks.pytorch.adapter import out_of_memory, start
from framebench.workloads.layers import Workload

__all__ = [
    "COLOUR",
    "ENVIRONMENT",
    "LABEL",
    "MARKER",
    "MODEL_FILE",
    "OPTIONS",
    "PRECISIONS",
    "TRACKS",
    "Trainer",
    "out_of_memory",
    "start",
    "versions",
]

LABEL = "Keras (PyTorch)"
ENVIRONMENT = "pytorch"
MODEL_FILE = "keras"
COLOUR = "#E69F00"
MARKER = "^"
TRACKS = ("default", "tuned")
OPTIONS = {
    "cpu": {
        # An allocator that keeps freed memory; offered to every framework.
        "allocator": ("system", "tbbmalloc"),
        # keras.io/api/models/model_training_apis, `compile`: "auto" is eager here, and True is torch.compile. Needs a
        # C++ compiler on the machine. The page's steps_per_execution must be 1 on this backend.
        "jit_compile": ("auto", True),
    },
    "cuda": {
        "jit_compile": ("auto", True),
    },
}
# Not float16 on a CPU: 10 steps of vgg-cnn took 121 s in PyTorch and 174 s in TensorFlow, against 1 s in float32.
PRECISIONS = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "tf32", "bfloat16", "float16")}


class Trainer(KerasTrainer):
    backend = pytorch_adapter

    def __init__(self, workload: Workload, *others: Any, tuning: Tuning = NOT_TUNED, **options: Any) -> None:
        if workload.recurrent and tuning.get("jit_compile") is True:
            # On a CPU it compiles for minutes, and on a GPU it leaves cuDNN's kernel.
            raise ValueError("jit_compile: torch.compile takes Keras's recurrent layer apart into all of its steps")
        super().__init__(workload, *others, tuning=tuning, **options)

    def _batches(self, images: np.ndarray, labels: np.ndarray, input: str) -> DataLoader:
        x, y = (torch.from_numpy(array).to(self.place).split(self.batch_size) for array in (images, labels))
        return DataLoader(list(zip(x, y, strict=True)), batch_size=None)

    def _synchronise(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def _device(self) -> str:
        return str(self.model.weights[0].value.device)


def versions() -> dict[str, str]:
    return {"framework_version": keras.__version__, "backend": f"torch {torch.__version__}"}
