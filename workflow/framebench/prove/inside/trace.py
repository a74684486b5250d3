"""Records every tensor of a forward pass with the layer that made it, so that two models can be compared by values.

Both models compute with PyTorch, so both are recorded at its dispatcher, below everything that a layer hides:
functional calls, fused projections, bare parameters. Tensors are compared by numbers that do not change when elements
are reordered or padded with zeros, since one model has channels first and the other channels last.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Two tensors are the same if their moments agree to this. Float64 noise stays below 1e-12 on nets of 50 layers; the
# smallest difference that matters here, an epsilon of 1e-5 for 1e-6, moves the sum of squares by about 1e-5.
SAME = 1e-9
VIEWS = (
    *("view", "_unsafe_view", "reshape", "permute", "transpose", "t", "expand", "clone", "alias", "detach"),
    *("contiguous", "unsqueeze", "squeeze", "select", "slice", "split", "split_with_sizes", "chunk", "unbind"),
    *("copy", "_to_copy"),
)


@dataclass(frozen=True)
class Node:
    """One result tensor of an operation."""

    operation: str
    owner: str  # path of the innermost layer that ran it
    parents: tuple[int, ...]  # the nodes that it was computed from
    live: bool  # depends on the input, or on two weights that meet
    made_of: frozenset[int]  # ids of weights, if it is these in another layout
    uses: frozenset[int]  # ids of weights that the operation itself took
    moments: tuple[float, ...]  # sum, sum of magnitudes, of squares, of cubes
    shape: tuple[int, ...]
    constants: tuple[Any, ...]  # arguments that are no tensors


@dataclass
class Trace:
    """The nodes of a forward pass in order of execution, and where the result is among them."""

    nodes: list[Node] = field(default_factory=list)
    output: int = -1
    result: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    dropouts: list[Any] = field(default_factory=list)  # the calls of draws.Draws, of a pass in training mode

    def inputs_of(self, owner: str) -> list[int]:
        """The nodes that reach a layer from outside."""
        return sorted(
            {
                parent
                for node in self.nodes
                if within(node.owner, owner)
                for parent in node.parents
                if self.nodes[parent].live and not within(self.nodes[parent].owner, owner)
            }
        )

    def operands(self, weights: frozenset[int]) -> list[int]:
        """The live nodes that meet these weights in an operation."""
        return sorted(
            {parent for node in self.nodes if node.uses & weights for parent in node.parents if self.nodes[parent].live}
        )

    def first_use(self, weights: frozenset[int]) -> int:
        """Place of the first operation that takes any of these weights; past the end if none does."""
        return next((i for i, node in enumerate(self.nodes) if node.uses & weights), len(self.nodes))

    def behind_output(self) -> set[int]:
        """The live nodes that the output depends on."""
        found, todo = set(), [self.output]
        while todo:
            if (place := todo.pop()) >= 0 and place not in found and self.nodes[place].live:
                found.add(place)
                todo += self.nodes[place].parents
        return found


def within(owner: str, layer: str) -> bool:
    return owner == layer or not layer or owner.startswith(layer + "/")


def moments(tensor: torch.Tensor) -> tuple[float, ...]:
    """Sum, and the sums of magnitudes, squares and cubes; elements that are not finite count as 0."""
    flat = tensor.detach().reshape(-1).double()
    flat = torch.where(torch.isfinite(flat), flat, 0.0)
    size, square = flat.abs(), flat * flat
    return tuple(torch.stack([flat.sum(), size.sum(), square.sum(), (square * flat).sum()]).tolist())


def scales(one: np.ndarray) -> np.ndarray:
    """For each row of moments, the size that differences of each are compared with."""
    return np.stack([one[..., 1], one[..., 1], one[..., 2], one[..., 2] ** 1.5], axis=-1) + 1e-300


class Known:
    """The live tensors of a trace, with a search by their moments."""

    def __init__(self, trace: Trace) -> None:
        self.places = [i for i, node in enumerate(trace.nodes) if node.live and node.moments[1] > 0]
        self.table = np.array([trace.nodes[i].moments for i in self.places]).reshape(-1, 4)
        self.order = np.argsort(self.table[:, 2])
        self.squares = self.table[self.order, 2]

    def find(self, moments: Sequence[float]) -> list[int]:
        """The places of the tensors with these moments."""
        low, high = np.searchsorted(self.squares, [moments[2] * (1 - 2 * SAME), moments[2] * (1 + 2 * SAME)])
        near = self.order[low:high]
        wanted = np.array(moments)
        same = (np.abs(self.table[near] - wanted) <= SAME * scales(wanted)).all(axis=-1)
        return sorted(self.places[i] for i in near[same])


class Tracer(TorchDispatchMode):
    """Fills a Trace; `owners` is the stack of the layers that run, `weights` the ids of the model's weights."""

    def __init__(self, weights: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.trace = Trace()
        self.owners: list[str] = [""]
        self._kept: list[torch.Tensor] = []  # so that no other tensor gets the id of a deleted one
        self._place: dict[int, int] = {}
        self._weights = {id(weight) for weight in weights}
        for tensor in inputs:
            self._add(tensor, "input", (), True, frozenset(), frozenset(), ())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tensors = [one for one in _flat([args, kwargs]) if isinstance(one, torch.Tensor)]
        constants = tuple(one for one in _flat([args, kwargs]) if not isinstance(one, torch.Tensor))
        parents = tuple(self._place[id(one)] for one in tensors if id(one) in self._place)
        taken = frozenset({id(one) for one in tensors if id(one) in self._weights})
        taken |= frozenset().union(*(self.trace.nodes[parent].made_of for parent in parents))
        name = func.overloadpacket.__name__
        # Two weights that meet compute something even without any input, for example learned queries.
        met = len(taken) > 1 and name not in (*VIEWS, "cat", "stack")
        live = met or any(self.trace.nodes[parent].live for parent in parents)
        # In matching, a product or sum of weights with a constant counts as another layout of them.
        made_of = frozenset() if live else taken
        for one in _flat([result]):
            if isinstance(one, torch.Tensor):
                self._add(one, name, parents, live, made_of, taken if live else frozenset(), constants)
        return result

    def place(self, tensor: torch.Tensor) -> int:
        return self._place.get(id(tensor), -1)

    @contextmanager
    def inside(self, owner: str) -> Iterator[None]:
        self.owners.append(owner)
        try:
            yield
        finally:
            self.owners.pop()

    def _add(self, tensor: torch.Tensor, name: str, parents: tuple, live: bool, *rest: Any) -> None:
        made_of, uses, constants = rest
        numbers = moments(tensor) if live and tensor.numel() and not tensor.is_complex() else (0.0,) * 4
        self._kept.append(tensor)
        self._place[id(tensor)] = len(self.trace.nodes)
        owner = self.owners[-1]
        node = Node(name, owner, parents, live, made_of, uses, numbers, tuple(tensor.shape), constants)
        self.trace.nodes.append(node)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _flat(one)
    else:
        yield value
