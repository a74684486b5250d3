"""Other matches near the place where two models part: exchanged, cut, or counted in another way."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice, permutations

import torch

from framebench.prove.inside.orders import CHANNELWISE, grids_of, last_axes, orders, taken_after
from framebench.prove.inside.pairs import Match, Pair, alike, in_words, paired, sources, swapped, taken
from framebench.prove.inside.trace import VIEWS, Known, Trace
from framebench.prove.inside.units import Unit, View, same, squeezed

MOST_GROUPS = 3  # of such layers, the nearest, before a place where the models part
MOST_OF_A_GROUP = 4  # interchangeable layers that are tried in every order: 24


def proposals(found: Match, fixed: set[str]) -> Iterator[list[Pair]]:
    """Other matches, the likeliest first: near the first bad tensor, then in groups of layers that look alike."""
    assert found.bad is not None
    pairs = [pair for pair in found.pairs if pair.keras.layer not in fixed]
    places = {id(pair): found.keras.first_use(pair.keras.weights) for pair in pairs}
    node = found.keras.nodes[found.bad]
    here = [pair for pair in pairs if node.uses & pair.keras.weights]
    before = sorted((pair for pair in pairs if places[id(pair)] <= found.bad), key=lambda pair: -places[id(pair)])
    here = here or before[:1]
    for pair in here:
        for changed in chain(orders(pair, found.keras), _rejoined(pair, found)):
            yield [changed if one is pair else one for one in found.pairs]
    known = Known(found.pytorch)
    for pair in here:
        for other in pairs:
            if other is not pair and alike(pair, other) and _reached(pair, other, found, known):
                yield swapped(found.pairs, pair, other)
    layers = {pair.keras.layer for pair in here}
    yield from _other_biases([pair for pair in pairs if pair.keras.layer in layers], found)
    yield from _recut(found, before)
    yield from _regated(found, before)
    yield from regrouped(found, pairs, before)
    for pair in before[:3]:
        for changed in orders(pair, found.keras, outputs=True):
            yield [changed if one is pair else one for one in found.pairs]
    for pair in here:
        for other in pairs:
            if other is not pair and alike(pair, other):
                yield swapped(found.pairs, pair, other)


def _rejoined(pair: Pair, found: Match) -> Iterator[Pair]:
    """The pair with its inputs in the order in which PyTorch concatenates the same tensors."""
    for place in taken(pair.keras, found.keras):
        ours = _joined(found.keras, place)
        if ours is None or pair.order:
            continue
        sizes = [size for _, size in ours]
        for other in taken(pair.pytorch, found.pytorch):
            theirs = _joined(found.pytorch, other)
            order = theirs and _same_parts(found, [part for part, _ in ours], [part for part, _ in theirs])
            grids = [next(grids_of([part], found.keras, size), ()) for part, size in ours]
            if not order or (order == sorted(order) and not any(grids)):
                continue
            words = f"inputs of {' + '.join(map(str, sizes))} in another order in PyTorch"
            if pair.keras.kind == "norm" and pair.keras.main.shape[-1] == sum(sizes):
                view = _blocks(sizes, grids, order, -1)
                slots = {role: slot.through(view) for role, slot in pair.keras.slots.items()}
                yield replace(pair, keras=replace(pair.keras, slots=slots), order=words)
            elif pair.keras.kind == "kernel" and pair.keras.main.shape[-2] == sum(sizes) and pair.views == (same, same):
                yield replace(pair, views=(_blocks(sizes, grids, order, -2), same), order=words)


def _same_parts(found: Match, ours: list[int], theirs: list[int]) -> list[int] | None:
    """For each part of PyTorch's, the place of the same tensor among those of Keras; None if one has none."""
    left, order = list(range(len(ours))), []
    for part in theirs:
        known = set(Known(found.pytorch).find(found.pytorch.nodes[part].moments))
        for i in left:
            if known & set(Known(found.pytorch).find(found.keras.nodes[ours[i]].moments)):
                order.append(i)
                left.remove(i)
                break
    return order if len(order) == len(ours) == len(theirs) else None


def _blocks(sizes: list[int], grids: list[tuple[int, ...]], order: list[int], axis: int) -> View:
    """Blocks of an axis in another order, those that were grids with their channels first.

    The result is a copy, so only Keras's side uses it, which is only read.
    """

    def viewed(array: torch.Tensor) -> torch.Tensor:
        parts = list(array.split(sizes, axis))
        for i, dims in enumerate(grids):
            if dims:
                first = array.ndim + axis
                parts[i] = parts[i].unflatten(axis, dims).movedim(first + len(dims) - 1, first)
                parts[i] = parts[i].flatten(first, first + len(dims) - 1)
        return torch.cat([parts[i] for i in order], axis)

    return viewed


def _joined(trace: Trace, place: int) -> list[tuple[int, int]] | None:
    """The tensors concatenated into a tensor, and the number of channels of each."""
    node = trace.nodes[place]
    while node.operation != "cat":
        live = [parent for parent in node.parents if trace.nodes[parent].live]
        if node.operation not in (*VIEWS, *CHANNELWISE) or not live:
            return None
        node = trace.nodes[live[0]]
    found = []
    for parent in node.parents:
        one = trace.nodes[parent]
        axis = next((i for i, sizes in enumerate(zip(node.shape, one.shape, strict=True)) if len(set(sizes)) > 1), None)
        if axis is None:
            return None
        inner = _joined(trace, parent) if one.operation in ("cat", *VIEWS) else None
        whole = inner and sum(size for _, size in inner) == one.shape[axis]
        found += inner if inner and whole else [(parent, one.shape[axis])]
    return found


def _other_biases(near: list[Pair], found: Match) -> Iterator[list[Pair]]:
    """The biases of layers of bare parameters exchanged with another parameter of their module and shape."""
    for side in ("keras", "pytorch"):
        for pair, other in permutations(near, 2):
            unit, bare = getattr(pair, side), getattr(other, side)
            if "bias" not in unit.slots or len(bare.slots) > 1 or (unit.kind, bare.kind) != ("bare", "bare"):
                continue
            if bare.layer == unit.layer and squeezed(bare.main.shape) == squeezed(unit.slots["bias"].shape):
                bias, (name,) = bare.main.through(torch.squeeze), bare.slots
                moved = {
                    id(pair): replace(pair, **{side: replace(unit, slots={**unit.slots, "bias": bias})}),
                    id(other): _paired_as(other, side, replace(bare, slots={name: unit.slots["bias"]})),
                }
                yield [moved.get(id(one), one) for one in found.pairs]


def _paired_as(pair: Pair, side: str, unit: Unit) -> Pair:
    """The pair with another unit on one side, in its plain order."""
    return paired(unit, pair.pytorch) if side == "keras" else paired(pair.keras, unit)


def _regated(found: Match, before: list[Pair]) -> Iterator[list[Pair]]:
    """The gates of a recurrent layer in every order, of its input and of its state alike."""
    for side in ("keras", "pytorch"):
        layers = dict.fromkeys(getattr(pair, side).layer for pair in before if getattr(pair, side).gate)
        for layer in layers:
            group = {
                getattr(pair, side).gate: pair
                for pair in found.pairs
                if getattr(pair, side).layer == layer and getattr(pair, side).gate
            }
            gates = list(dict.fromkeys(gate for gate, _ in group))
            for order in islice(permutations(gates), 1, None):
                other = dict(zip(gates, order, strict=True))
                if all((other[gate], prefix) in group for gate, prefix in group):
                    moved = {
                        id(pair): replace(pair, pytorch=group[other[gate], prefix].pytorch, plain=None)
                        for (gate, prefix), pair in group.items()
                    }
                    yield [moved.get(id(one), one) for one in found.pairs]


def _recut(found: Match, before: list[Pair]) -> Iterator[list[Pair]]:
    """The parts of a fused projection cut in another order: by heads first, or interleaved."""
    seen: set[int] = set()
    for pair in before:
        for side, other, trace in (("pytorch", "keras", found.keras), ("keras", "pytorch", found.pytorch)):
            unit = getattr(pair.plain or pair, side)
            if unit.fused is None or unit.weights <= seen or len(seen) >= MOST_GROUPS:
                continue
            seen |= unit.weights
            now = [one for one in found.pairs if getattr(one, side).weights & unit.weights]
            group = [one.plain or one for one in now]
            if any(getattr(one, side).fused is None or one.order for one in group) or len(group) != unit.fused[2]:
                continue
            size = unit.main.shape[-1]
            partner = getattr(pair.plain or pair, other)
            for dims in dict.fromkeys(
                dims for dims in grids_of(taken_after(partner, trace), trace, size) if len(dims) == 2
            ):
                for order in islice(permutations(range(3)), 1, None):
                    cut = {
                        id(one): _cut_again(plain, side, other, dims, order)
                        for one, plain in zip(now, group, strict=True)
                    }
                    yield [cut.get(id(one), one) for one in found.pairs]


def _cut_again(pair: Pair, side: str, other: str, dims: tuple[int, ...], order: tuple[int, ...]) -> Pair:
    """The pair whose fused unit counts its outputs by part, head and place in `order`, the other by head and place."""
    whole, place, parts = getattr(pair, side).fused
    axes = (parts, *dims)
    back = [order.index(i) for i in range(3)]
    cut = last_axes([axes[i] for i in order], back)
    here = replace(
        getattr(pair, side),
        slots={role: slot.through(lambda array: cut(array).select(-3, place)) for role, slot in whole.slots.items()},
    )
    there = getattr(pair, other)
    bias = {"bias": there.slots["bias"].through(last_axes(dims, (0, 1)))} if "bias" in there.slots else {}
    there = replace(there, slots={**there.slots, **bias})
    views = {side: same, other: last_axes(dims, (0, 1))}
    words = f"outputs cut from {in_words(axes[i] for i in order)}"
    return replace(
        pair, **{side: here, other: there}, views=(views["keras"], views["pytorch"]), order=words, plain=pair
    )


def regrouped(found: Match, pairs: list[Pair], before: list[Pair]) -> Iterator[list[Pair]]:
    """Every order of the nearest groups of layers that look alike and take the same tensor."""
    groups = 0
    for i, pair in enumerate(before):
        later = [one for one in pairs if not any(one is other for other in before)]
        group = [one for one in [*before[i:], *later] if alike(pair, one) and _twins(pair, one, found.keras)]
        if len(group) > 1 and groups < MOST_GROUPS:
            groups += 1
            chains = _chains(group[:MOST_OF_A_GROUP], pairs, found.keras)
            for branches in dict.fromkeys([tuple((one,) for one in group[:MOST_OF_A_GROUP]), chains]):
                for order in islice(permutations(branches), 1, None):
                    moved = {
                        id(one): replace(one, pytorch=two.pytorch, plain=None)
                        for branch, other in zip(branches, order, strict=True)
                        for one, two in zip(branch, other, strict=True)
                    }
                    yield [moved.get(id(one), one) for one in found.pairs]


def _chains(group: list[Pair], pairs: list[Pair], trace: Trace) -> tuple[tuple[Pair, ...], ...]:
    """Each pair of a group with the pairs that only it leads to, as far as these are alike in all branches."""
    before = sources([pair.keras for pair in pairs], trace)
    lines = [[pairs.index(pair)] for pair in group]
    while True:
        following = [[j for j, came in enumerate(before) if came and came <= {line[-1]}] for line in lines]
        nearest = [pairs[places[0]] for places in following if places]
        if len(nearest) < len(lines) or not all(alike(nearest[0], one) for one in nearest[1:]):
            return tuple(tuple(pairs[i] for i in line) for line in lines)
        for line, places in zip(lines, following, strict=True):
            line.append(places[0])


def _reached(pair: Pair, other: Pair, found: Match, known: Known) -> bool:
    """The PyTorch unit of `other` takes what the Keras unit of `pair` does."""
    theirs = set(taken(other.pytorch, found.pytorch))
    return any(theirs & set(known.find(found.keras.nodes[place].moments)) for place in taken(pair.keras, found.keras))


def _twins(one: Pair, other: Pair, trace: Trace) -> bool:
    """Two units of Keras that take the same tensor, so that only later layers distinguish them."""
    here, there = ({trace.nodes[place].moments for place in taken(pair.keras, trace)} for pair in (one, other))
    return bool(here & there)
