"""A first inspector, which works as it stands: it looks into the template for the certificate and the diagnosis.

Without this file the framework is measured and not certified, so it can wait until the adapter runs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from framebench.frameworks._template.adapter import Trainer
from framebench.frameworks.contract import Observer, Span, Weights, kernels


class Inspector:
    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def layer_inputs(self, images: np.ndarray) -> Weights:
        return {name: x for name, x, _, _ in self._multiplied(images)}

    def watch(self, observer: Observer) -> None:
        loss_and_gradients = self.trainer.loss_and_gradients

        def watched(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Weights]:
            loss, gradients = loss_and_gradients(x, y)
            observer.loss(loss)
            observer.gradients(gradients)
            return loss, gradients

        self.trainer.loss_and_gradients = watched  # type: ignore[method-assign]

    def without_dropout(self) -> None:
        pass  # no workload with dropout has a model file here

    def own_initial_weights(self) -> Weights | None:
        return None  # the model file draws none

    def counted_flops(self, images: np.ndarray) -> int | None:
        return sum(2 * y.size * kernel[..., 0].size for _, _, kernel, y in self._multiplied(images))

    def counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int | None:
        return None  # NumPy counts nothing

    def kernels(self, images: np.ndarray) -> dict[str, str]:
        return kernels(self.trainer.workload, "eager", operations=(), cudnn="", fused=())

    def product(self, size: int) -> Callable[[int], None]:
        a, b = (np.random.default_rng(0).random((size, size), np.float32) for _ in range(2))

        def repeat(times: int) -> None:
            for _ in range(times):
                np.matmul(a, b, out=result)

        result = np.empty_like(a)
        return repeat

    def copy(self, mib: int) -> Callable[[int], None]:
        source = np.random.default_rng(0).random(mib * 2**18, np.float32)
        copied = np.empty_like(source)

        def repeat(times: int) -> None:
            for _ in range(times):
                np.copyto(copied, source)

        return repeat

    def _multiplied(self, images: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
        """Every layer that multiplies: its name, input, kernel and output.

        The functions of the model file are replaced while the net runs. Most frameworks have hooks for this.
        """
        names = {id(array): name.removesuffix("/kernel") for name, array in self.trainer.values.items()}
        found = []

        def noting(layer: Callable) -> Callable:
            def noted(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, Callable]:
                name = names[id(kernel)]
                try:
                    y, back = layer(x, kernel, bias)
                except ValueError as error:
                    raise ValueError(f"layer {name}: {error}") from error
                found.append((name, x, kernel, y))
                return y, back

            return noted

        functions = vars(self.trainer.model)
        own = {name: functions[name] for name in ("conv", "dense")}
        functions.update({name: noting(layer) for name, layer in own.items()})
        try:
            self.trainer.logits(images)
        finally:
            functions.update(own)
        return found


@contextmanager
def traced(device: str) -> Iterator[list[Span]]:
    yield []
    raise ValueError("NumPy has no profiler")
