"""A layer's weights in one layout for both frameworks, each as a view of the tensor that the framework trains.

Canonical layouts: kernels (spatial…, in, out), embeddings (rows, width), recurrent kernels (in, units) for each gate. A
view writes through, so one function copies the weights of all layers, and one compares their gradients and updates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from operator import itemgetter
from typing import Any

import torch

# Slots and units are compared by identity: equal numbers do not make two weights one.
View = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Slot:
    """One array of a layer: `view` gives it in the canonical layout, of the weight or of its gradient."""

    tensor: torch.Tensor
    view: View

    @property
    def value(self) -> torch.Tensor:
        return self.view(self.tensor.detach())

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def trained(self) -> bool:
        return isinstance(self.tensor, torch.nn.Parameter) and self.tensor.requires_grad

    def through(self, view: View) -> "Slot":
        return Slot(self.tensor, lambda tensor: view(self.view(tensor)))


@dataclass(frozen=True, eq=False)
class Unit:
    """The weights of one layer, or of one part of a fused layer; `config` are the settings that can differ."""

    layer: str  # path, by / in both frameworks
    kind: str  # kernel, norm, recurrent or bare
    slots: Mapping[str, Slot]
    config: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = True  # everything that the layer has: inputs of the layer reach the unit
    fused: tuple["Unit", int, int] | None = (
        None  # the unit that this is a part of, the place of the part, and the number of parts
    )
    place: int | None = None  # among the slices of a parameter
    gate: tuple[str, str] | None = None  # of a recurrent layer, and "" for its input or "recurrent " for its state

    @property
    def weights(self) -> frozenset[int]:
        return frozenset(id(slot.tensor) for slot in self.slots.values())

    @property
    def main(self) -> Slot:
        return next(iter(self.slots.values()))

    @property
    def signature(self) -> tuple[Any, ...]:
        """Equal for units that can be the same layer; a bias, which one side may lack, does not count."""
        if self.kind == "recurrent":
            return (self.kind, *sorted((role, slot.shape) for role, slot in self.slots.items() if "bias" not in role))
        return (self.kind if self.kind == "norm" else "plain", squeezed(self.main.shape))

    @property
    def parameters(self) -> int:
        return sum(prod(slot.shape) for slot in self.slots.values() if slot.trained)


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def transposed(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.t()


def part(i: int, parts: int, axis: int, view: View = same) -> View:
    """The i-th of equal parts along an axis of the canonical layout."""

    def viewed(tensor: torch.Tensor) -> torch.Tensor:
        return view(tensor).chunk(parts, dim=axis)[i]

    return viewed


def shaped(*shape: int) -> View:
    return lambda tensor: tensor.reshape(shape)


def split(unit: Unit, sizes: Sequence[int]) -> list[Unit]:
    """A fused layer split into parts with so many outputs each, which are layers in another model."""
    found: list[Unit] = []
    first = 0
    for size in sizes:
        cut = _cut(-1, first, size)
        slots = {role: slot.through(cut) for role, slot in unit.slots.items()}
        found.append(replace(unit, slots=slots, whole=False, fused=(unit, len(found), len(sizes))))
        first += size
    return found


def split_inputs(unit: Unit, sizes: Sequence[int]) -> list[Unit]:
    """A layer of several concatenated tensors, split into one layer for each; the first has the bias."""
    found, first = [], 0
    for size in sizes:
        slots = {"kernel": unit.main.through(_cut(-2, first, size))}
        if not first and "bias" in unit.slots:
            slots["bias"] = unit.slots["bias"]
        found.append(replace(unit, slots=slots, whole=False))
        first += size
    return found


def stacked(unit: Unit) -> list[Unit]:
    """A bare parameter split into its slices, which are layers in another model, as experts are."""
    return [
        replace(unit, slots={"value": unit.main.through(itemgetter(i))}, whole=False, place=i)
        for i in range(unit.main.shape[0])
    ]


def _cut(axis: int, first: int, size: int) -> View:
    return lambda tensor: tensor.narrow(axis, first, size)


def gates(unit: Unit) -> list[Unit]:
    """A recurrent layer as one dense layer for each gate of its input, and one for each of its state."""
    found = []
    for prefix in ("", "recurrent "):
        for role in [role for role in unit.slots if role.startswith(f"{prefix}kernel")]:
            gate = role.split()[-1]
            slots = {"kernel": unit.slots[role]}
            if f"{prefix}bias {gate}" in unit.slots:
                slots["bias"] = unit.slots[f"{prefix}bias {gate}"]
            found.append(Unit(unit.layer, "kernel", slots, unit.config, whole=False, gate=(gate, prefix)))
    return found


def singles(unit: Unit) -> list[Unit]:
    """Each array of a unit by itself, for a layer that the other model writes with bare parameters."""
    return [Unit(unit.layer, "bare", {"value": slot}, unit.config, whole=False) for slot in unit.slots.values()]
