"""A user's model in either framework, in the form of a proof: layers by path, weights as units, and a trace."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from framebench.prove.inside.draws import shared
from framebench.prove.inside.trace import Trace, Tracer
from framebench.prove.inside.units import Unit
from framebench.workloads.loading import raised


class Side(ABC):
    """The model of one file in one precision; `paths` maps its layers to their paths, with "" for the model itself."""

    file: str
    path: Path
    dtype: torch.dtype
    paths: dict[Any, str]
    units: list[Unit]
    rates: dict[int, float]  # of dropouts, by place, instead of their own

    @property
    @abstractmethod
    def parameters(self) -> Sequence[torch.Tensor]:
        """The tensors that are trained."""

    @property
    @abstractmethod
    def known(self) -> list[torch.Tensor]:
        """All tensors of the model that an operation can take."""

    @property
    @abstractmethod
    def stored(self) -> list[torch.Tensor]:
        """Weights and statistics."""

    @property
    @abstractmethod
    def named(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Weights and statistics under the names used in measuring (see `framebench.workloads.own`)."""

    def run(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        """The output for a batch; UserError if a user's code raises in a pass after the first."""
        mode = f"{'training' if training else 'evaluation'} mode in {str(self.dtype).removeprefix('torch.')}"
        return raised(lambda: self._run(inputs, training), f"{self.file}: a pass in {mode}", self.path)

    @abstractmethod
    def _run(self, inputs: torch.Tensor, training: bool) -> torch.Tensor:
        """The output for a batch."""

    @abstractmethod
    def watched(self, layer: Any, path: str, tracer: Tracer) -> AbstractContextManager[None]:
        """Context in which the tracer knows the running layer."""

    @abstractmethod
    def name(self, path: str) -> str:
        """The user's name of the layer at a path."""

    def at(self, path: str) -> Any:
        """The layer at a path."""
        return next((one for one, its in self.paths.items() if its == path), None)

    def trace(self, inputs: torch.Tensor, training: bool = False) -> Trace:
        tracer = Tracer(self.known, [inputs])
        with ExitStack() as stack:
            stack.enter_context(kept(self))  # a pass in training mode moves statistics
            for layer, path in self.paths.items():
                stack.enter_context(self.watched(layer, path, tracer))
            stack.enter_context(torch.no_grad())
            stack.enter_context(tracer)
            if training:
                tracer.trace.dropouts = stack.enter_context(shared(self.rates, lambda: tracer.owners[-1])).calls
            output = self.run(inputs, training)
        tracer.trace.output, tracer.trace.result = tracer.place(output), output
        return tracer.trace

    def state(self) -> list[torch.Tensor]:
        return [one.detach().clone() for one in self.stored]

    def restore(self, state: Sequence[torch.Tensor]) -> None:
        with torch.no_grad():
            for one, value in zip(self.stored, state, strict=True):
                one.copy_(value)


@contextmanager
def kept(*sides: Side) -> Iterator[None]:
    """Context after which the models have their former weights and statistics again."""
    states = [side.state() for side in sides]
    yield
    for side, state in zip(sides, states, strict=True):
        side.restore(state)
