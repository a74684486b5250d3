"""Faults of the template's model file and adapter, for the tests: the certificate must refuse each.

`frameworks/_planting.py` describes this file. Plant one fault for each possible mistake in the model file or the
adapter. For a name that other frameworks use too, `test_certify.py` checks the first difference.
"""

from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from framebench import workloads
from framebench.frameworks._planting import Fault, Patch, built


def faults(adapter: ModuleType) -> Iterator[Fault]:
    article = workloads.model_file("article-cnn", adapter.MODEL_FILE)
    conv, cross_entropy = article.conv, adapter.cross_entropy

    def optimizer(**numbers: float) -> list[Patch]:
        def change(trainer: object) -> None:
            vars(trainer)["optimizer"] = type(trainer.optimizer)(**vars(trainer.optimizer) | numbers)  # type: ignore[attr-defined]

        return built(adapter, change)

    def without_bias(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, Callable]:
        return conv(x, kernel, 0 * bias)

    def summed(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss, delta = cross_entropy(logits, labels)
        return len(labels) * loss, len(labels) * delta

    yield "article-cnn", "no ReLU", [(article, "relu", lambda x: x)]
    yield "article-cnn", "a bias dropped", [(article, "conv", without_bias)]
    yield "article-cnn", "learning rate × 1.01", optimizer(learning_rate=0.0101)
    yield "article-cnn", "momentum dropped", optimizer(momentum=0.0)
    yield "article-cnn", "loss summed over the batch", [(adapter, "cross_entropy", summed)]
