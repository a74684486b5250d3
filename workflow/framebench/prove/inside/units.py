"""A layer's weights in one layout for both frameworks, each as a view of the tensor that the framework trains.

Canonical layouts: kernels (spatial…, in, out), embeddings (rows, width), recurrent kernels (in, units) for each gate.
A view writes through, so copying weights, and comparing their gradients and updates, is one function for all layers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch

View = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Unit:
    """The weights that one layer, or one part of a fused layer, has; `config` are the settings that can differ."""

    layer: str  # path, by / in both frameworks
    kind: str  # kernel, norm, recurrent or bare
    slots: Mapping[str, Slot]
    config: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = True  # everything that the layer has: what reaches the layer reaches the unit

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


def split(unit: Unit, parts: int) -> list[Unit]:
    """A fused projection as its equal parts, which another model has as layers of their own."""
    return [
        Unit(
            unit.layer,
            unit.kind,
            {role: slot.through(part(i, parts, -1)) for role, slot in unit.slots.items()},
            unit.config,
            whole=False,
        )
        for i in range(parts)
    ]


def gates(unit: Unit) -> list[Unit]:
    """A recurrent layer as one dense layer for each gate of its input, and one for each of its state."""
    found = []
    for prefix in ("", "recurrent "):
        for role in [role for role in unit.slots if role.startswith(f"{prefix}kernel")]:
            gate = role.split()[-1]
            slots = {"kernel": unit.slots[role]}
            if f"{prefix}bias {gate}" in unit.slots:
                slots["bias"] = unit.slots[f"{prefix}bias {gate}"]
            found.append(Unit(unit.layer, "kernel", slots, unit.config, whole=False))
    return found


def singles(unit: Unit) -> list[Unit]:
    """Each array of a unit on its own, for a layer that the other model writes with bare parameters."""
    return [Unit(unit.layer, "bare", {"value": slot}, unit.config, whole=False) for slot in unit.slots.values()]
