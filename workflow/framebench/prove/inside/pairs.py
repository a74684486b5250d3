"""Pairs of layers of both models: their weights side by side, and the place where the models part."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from math import prod
from typing import Any

import torch

from framebench.prove.inside.trace import Known, Trace
from framebench.prove.inside.units import Slot, Unit, View, same, squeezed


@dataclass(frozen=True, eq=False)
class Pair:
    """Two units that are the same; `views` bring the main weight of each into a common order."""

    keras: Unit
    pytorch: Unit
    views: tuple[View, View] = (same, same)
    order: str = ""  # in words, if it is not the plain one
    plain: "Pair | None" = None  # the pair as it was before its fused layer was cut in another way

    def main(self, role: str) -> bool:
        """A role is that of the main weight, which has a different name on each side; those of norms have one name."""
        norms = self.keras.kind == self.pytorch.kind == "norm"
        return not norms and role in (next(iter(self.keras.slots)), next(iter(self.pytorch.slots)))

    def slots(self, role: str) -> tuple[Slot, Slot]:
        """The arrays of a role on both sides."""
        if self.main(role):
            return self.keras.main, self.pytorch.main
        return self.keras.slots[role], self.pytorch.slots[role]


@dataclass
class Match:
    """The pairs found, the units without a partner, and the traces with the weights copied."""

    pairs: list[Pair]
    only_keras: list[Unit] = field(default_factory=list)
    only_pytorch: list[Unit] = field(default_factory=list)
    trials: int = 0
    keras: Trace = field(default_factory=Trace)
    pytorch: Trace = field(default_factory=Trace)
    training: bool = False  # the traces are of training passes
    bad: int | None = None  # place of the first tensor that only Keras computes


def sources(units: Sequence[Unit], trace: Trace) -> list[set[int]]:
    """For each unit, the places of the units that its inputs come from."""
    takes: dict[int, list[int]] = {}
    for i, unit in enumerate(units):
        for weight in unit.weights:
            takes.setdefault(weight, []).append(i)
    before: list[set[int]] = [set() for _ in units]
    reach: list[frozenset[int]] = []
    for node in trace.nodes:
        came = frozenset().union(*(reach[parent] for parent in node.parents))
        using = frozenset(i for weight in node.uses for i in takes.get(weight, []))
        for i in using:
            before[i] |= came - using
        reach.append(using or came)
    return before


def fit(one: Unit, other: Unit) -> bool:
    """Equal signature, up to the order of the axes of a bare array and the shape of a kernel over patches."""
    if one.signature == other.signature:
        return True
    if one.signature[0] != other.signature[0] or one.signature[0] != "plain":
        return False
    here, there = one.signature[-1], other.signature[-1]
    if len(here) != len(there) and min(len(here), len(there)) == 2 and here[-1] == there[-1]:
        return prod(here) == prod(there)
    return any(True for _ in layouts(one, other))


def layouts(one: Unit, other: Unit) -> Iterator[Pair]:
    """The pairs of bare arrays that have the same axes in another order, or some of them merged."""
    here, there = squeezed(one.main.shape), squeezed(other.main.shape)
    if "bare" not in (one.kind, other.kind):
        return
    if sorted(here) == sorted(there):
        axes = range(len(here))
        # PyTorch's functions take weights with the outputs first, as in its layers.
        usual = [(*axes[2:], *axes[1::-1]), tuple(reversed(axes))] if len(here) > 1 else []
        for order in dict.fromkeys([tuple(axes), *usual, *permutations(axes)]):
            if tuple(there[i] for i in order) == here:
                words = "" if order == tuple(axes) else f"axes {_numbers(order)} of PyTorch's"
                yield Pair(one, other, (torch.squeeze, _axes(order)), words)
        return
    longer, shorter = (here, there) if len(here) > len(there) else (there, here)
    for order in permutations(range(len(longer))):
        if sizes := merged(tuple(longer[i] for i in order), shorter):
            whose = "PyTorch's" if shorter == there else "Keras's"
            views = (_axes(order), _apart(sizes)) if shorter == there else (_apart(sizes), _axes(order))
            yield Pair(one, other, views, f"{in_words(shorter)} of {whose} as axes {_numbers(order)} of the other's")


def _numbers(order: Iterable[int]) -> str:
    return ", ".join(str(i + 1) for i in order)


def _axes(order: tuple[int, ...]) -> View:
    return lambda array: array.squeeze().permute(order)


def merged(longer: tuple[int, ...], shorter: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The axes of `longer` whose product is each axis of `shorter`; none if there are no such axes."""
    found, left = [], list(longer)
    for size in shorter:
        taken: list[int] = []
        while left and prod(taken) < size:
            taken.append(left.pop(0))
        found.append(tuple(taken))
        if prod(taken) != size:
            return []
    return [] if left else found


def _apart(sizes: list[tuple[int, ...]]) -> View:
    def viewed(array: torch.Tensor) -> torch.Tensor:
        array = array.squeeze()
        for axis in reversed(range(len(sizes))):
            array = array.unflatten(axis, sizes[axis])
        return array

    return viewed


def in_common(a: Sequence[Any], b: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """The longest common subsequence, as pairs of places."""
    length = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            longer = max(length[i + 1][j], length[i][j + 1])
            length[i][j] = length[i + 1][j + 1] + 1 if a[i] == b[j] else longer
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            yield i, j
            i, j = i + 1, j + 1
        elif length[i + 1][j] >= length[i][j + 1]:
            i += 1
        else:
            j += 1


def paired(one: Unit, other: Unit) -> Pair:
    """The pair in its plain order; shapes that differ in places of size 1 are brought together."""
    here, there = one.main.shape, other.main.shape
    if here == there:
        return Pair(one, other)
    if squeezed(here) == squeezed(there):
        return Pair(one, other, (torch.squeeze, torch.squeeze))
    if found := next(layouts(one, other), None):
        return found
    if len(squeezed(here)) > len(squeezed(there)):
        dims = here[:-1]
        return Pair(one, other, (same, lambda kernel: kernel.unflatten(0, dims)))
    dims = there[:-1]
    return Pair(one, other, (lambda kernel: kernel.unflatten(0, dims), same))


def copy_weights(pairs: Iterable[Pair]) -> None:
    """Give PyTorch the weights of Keras; the second bias of a recurrent layer becomes 0 if Keras has one bias."""
    with torch.no_grad():
        for pair in pairs:
            for role, slot in pair.pytorch.slots.items():
                if role in pair.keras.slots or pair.main(role):
                    here, there = arrays(pair, role)
                    there.copy_(here)
                elif role.startswith("recurrent bias"):
                    slot.value.zero_()


def arrays(pair: Pair, role: str, of: str = "value") -> tuple[torch.Tensor, torch.Tensor]:
    """The arrays of a role on both sides, in one layout: the weights, or their gradients (`grad`)."""
    first, result = pair.main(role), []
    for slot, view in zip(pair.slots(role), pair.views, strict=True):
        tensor = slot.tensor.detach() if of == "value" else slot.tensor.grad
        if tensor is None:
            tensor = torch.zeros_like(slot.tensor)
        array = slot.view(tensor)
        result.append(view(array) if first else array.reshape(-1) if array.ndim == 1 else torch.squeeze(array))
    return result[0], result[1]


def shared_roles(pair: Pair) -> list[str]:
    """The roles that both units have, the main one by Keras's name for it."""
    main, other = next(iter(pair.keras.slots)), next(iter(pair.pytorch.slots))
    if not pair.main(main):
        return [role for role in pair.keras.slots if role in pair.pytorch.slots]
    return [main, *(role for role in pair.keras.slots if role in pair.pytorch.slots and role not in (main, other))]


def first_bad(ours: Trace, theirs: Trace) -> int | None:
    """Place of the first tensor on the way to the output of `ours` that `theirs` lacks; None if it has the output.

    A tensor that the other model lacks is no difference if something computed from it is there again: the two may
    compute the same values in different ways.
    """
    known = Known(theirs)
    behind = ours.behind_output()
    good: dict[int, bool] = {place: bool(known.find(ours.nodes[place].moments)) for place in behind}
    if good.get(ours.output) and _same_output(ours, theirs):
        return None
    good[ours.output] = False
    for place in sorted(behind, reverse=True):
        if good[place]:
            for parent in ours.nodes[place].parents:
                if parent in good:
                    good[parent] = True
    return min(place for place in behind if not good[place])


def _same_output(ours: Trace, theirs: Trace) -> bool:
    return theirs.output in Known(theirs).find(ours.nodes[ours.output].moments)


def alike(one: Pair, other: Pair) -> bool:
    """The PyTorch units of two pairs can be exchanged."""
    shapes = [[unit.main.shape for unit in (pair.keras, pair.pytorch)] for pair in (one, other)]
    return one.keras.signature == other.keras.signature and shapes[0] == shapes[1]


def swapped(pairs: list[Pair], one: Pair, other: Pair) -> list[Pair]:
    changed = {
        id(one): replace(one, pytorch=other.pytorch, plain=None),
        id(other): replace(other, pytorch=one.pytorch, plain=None),
    }
    return [changed.get(id(pair), pair) for pair in pairs]


def taken(unit: Unit, trace: Trace) -> list[int]:
    """The tensors that reach a unit."""
    return [*trace.operands(unit.weights), *(trace.inputs_of(unit.layer) if unit.whole else [])]


def in_words(dims: Iterable[int]) -> str:
    return " × ".join(map(str, dims))
