"""Finds which weights of one model are those of the other: by shape and order first, then by what the layers compute.

A guess by order of execution is tried: the weights are copied and both models run. The first tensor on the way to the
Keras model's output that the PyTorch model does not compute too says where the guess is wrong, or the models differ;
exchanges near that place are tried, and one is kept where it brings the first such tensor further back. A wrong match
can therefore only make a proof fail. It cannot make one pass.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, permutations
from math import prod
from typing import Any

import torch

from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.pytorch_side import PyTorchSide
from framebench.prove.inside.trace import VIEWS, Known, Trace
from framebench.prove.inside.units import Unit, View, gates, same, singles, split, squeezed, transposed
from framebench.workloads.loading import UserError

MOST_TRIALS = 80  # runs of a model; a pair of 50 layers in another order takes fewer than 20
RADII = (4, 2, 1, 0)  # layers on each side of a layer that must be alike, the widest first
MOST_GROUPS = 3  # of such layers, the nearest, before a place where the models part
MOST_OF_A_GROUP = 4  # interchangeable layers that are tried in every order: 24


@dataclass(frozen=True)
class Pair:
    """Two units that are the same; `views` bring the main weight of each into an order that both have."""

    keras: Unit
    pytorch: Unit
    views: tuple[View, View] = (same, same)
    order: str = ""  # in words, where it is not the plain one


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


def match(
    keras: KerasSide,
    pytorch: PyTorchSide,
    inputs: tuple[torch.Tensor, torch.Tensor],
    told: Mapping[str, str],
    prepare: Callable[[list[Pair]], object],
) -> Match:
    """The match of two models; `told` are the user's own pairs, layer of Keras → layer of PyTorch.

    `prepare` gives PyTorch the settings of Keras for the pairs that are tried.
    """
    trace = keras.trace(inputs[0])
    there = pytorch.trace(inputs[1])
    ours, theirs = fitted(in_order(keras.units, trace), in_order(pytorch.units, there))
    found = guess(ours, theirs, told, neighbourhoods(ours, trace), neighbourhoods(theirs, there))
    found.keras = trace

    def tried(pairs: list[Pair]) -> tuple[Trace, int | None]:
        copy_weights(pairs)
        prepare(pairs)
        found.trials += 1
        there = pytorch.trace(inputs[1])
        return there, first_bad(trace, there)

    found.pytorch, found.bad = tried(found.pairs)
    fixed = set(told)
    while found.bad is not None and found.trials < MOST_TRIALS:
        repairs = islice(proposals(found, fixed), MOST_TRIALS - found.trials)
        for pairs in repairs:
            there, bad = tried(pairs)
            if bad is None or bad > found.bad:
                found.pairs, found.pytorch, found.bad = pairs, there, bad
                break
        else:
            break
    copy_weights(found.pairs)
    prepare(found.pairs)
    return found


def in_order(units: Iterable[Unit], trace: Trace) -> list[Unit]:
    """Units by their first use in a forward pass; those that are never used come last."""
    return sorted(units, key=lambda unit: trace.first_use(unit.weights))


def fitted(ours: list[Unit], theirs: list[Unit]) -> tuple[list[Unit], list[Unit]]:
    """Both lists with what one side has fused or as bare parameters split, where the other has the parts."""
    ours, theirs = _gated(ours, theirs), _gated(theirs, ours)
    ours, theirs = _unfused(ours, theirs), _unfused(theirs, ours)
    return _bared(ours, theirs), _bared(theirs, ours)


def _surplus(units: list[Unit], others: list[Unit]) -> Counter:
    return Counter(unit.signature for unit in units) - Counter(unit.signature for unit in others)


def _gated(units: list[Unit], others: list[Unit]) -> list[Unit]:
    """Recurrent layers as dense ones for each gate, where the other side has a cell of its own."""
    over = _surplus(units, others)
    if not any(signature[0] == "plain" for signature in _surplus(others, units)):
        return units  # one more layer of its kind
    return [
        part
        for unit in units
        for part in (gates(unit) if unit.kind == "recurrent" and over[unit.signature] else [unit])
    ]


def _unfused(units: list[Unit], others: list[Unit]) -> list[Unit]:
    wanted, over, result = _surplus(others, units), _surplus(units, others), []
    for unit in units:
        kind, shape = unit.signature[0], unit.signature[-1]
        done = [unit]
        if kind == "plain" and len(shape) == 2 and over[unit.signature]:
            for parts in (3, 2, 4):
                signature = (kind, (shape[0], shape[1] // parts))
                if shape[1] % parts == 0 and wanted[signature] >= parts:
                    wanted[signature] -= parts
                    over[unit.signature] -= 1
                    done = split(unit, parts)
                    break
        result += done
    return result


def _bared(units: list[Unit], others: list[Unit]) -> list[Unit]:
    """Units of several arrays as single ones, where the other side has single arrays of these shapes left."""
    wanted, over, result = _surplus(others, units), _surplus(units, others), []
    for unit in units:
        parts = singles(unit)
        signatures = [part.signature for part in parts]
        several = len(parts) > 1 or unit.kind == "norm"
        apart = over[unit.signature] and several and all(wanted[one] for one in signatures)
        if apart:
            wanted -= Counter(signatures)
            over[unit.signature] -= 1
        result += parts if apart else [unit]
    return result


def neighbourhoods(units: Sequence[Unit], trace: Trace) -> list[dict[int, Any]]:
    """For each radius of RADII, from the widest, what surrounds each unit, by the unit's id.

    A unit is labelled with its own signature and the labels of the units before and after it, again and again
    (Weisfeiler and Lehman's refinement): branches of equal shapes are told apart by where they lead.
    """
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
    after: list[set[int]] = [{j for j in range(len(units)) if i in before[j]} for i in range(len(units))]
    labels = [hash(unit.signature) for unit in units]
    found = {0: labels}
    for radius in range(1, max(RADII) + 1):
        labels = [
            hash((labels[i], *sorted(labels[j] for j in before[i]), None, *sorted(labels[j] for j in after[i])))
            for i in range(len(units))
        ]
        found[radius] = labels
    return [{id(unit): label for unit, label in zip(units, found[radius], strict=True)} for radius in RADII]


def guess(
    ours: list[Unit],
    theirs: list[Unit],
    told: Mapping[str, str],
    around: list[dict[int, Any]],
    around_theirs: list[dict[int, Any]],
) -> Match:
    """Pairs in order: what the user told, then the longest common subsequences by `neighbourhoods`, then the rest."""
    pairs: list[Pair] = []
    for name, other in told.items():
        left, right = ([unit for unit in units if unit.layer == one] for units, one in ((ours, name), (theirs, other)))
        for file, key, found in (("keras.py", name, left), ("pytorch.py", other, right)):
            if not found:
                raise UserError(f"weights.yaml: {key!r} is no layer with weights in {file}")
        if [unit.signature for unit in left] != [unit.signature for unit in right]:
            raise UserError(
                f"weights.yaml: {name}: {other!r} has weights of other shapes:"
                f" {[unit.signature[-1] for unit in right]} for {[unit.signature[-1] for unit in left]}"
            )
        pairs += map(paired, left, right)
    ours = [unit for unit in ours if unit.layer not in told]
    theirs = [unit for unit in theirs if unit.layer not in told.values()]
    for here, there in zip(around, around_theirs, strict=True):
        common = list(_common([here[id(unit)] for unit in ours], [there[id(unit)] for unit in theirs]))
        pairs += [paired(ours[i], theirs[j]) for i, j in common]
        ours = [unit for i, unit in enumerate(ours) if i not in {i for i, _ in common}]
        theirs = [unit for j, unit in enumerate(theirs) if j not in {j for _, j in common}]
    for unit in list(ours):
        partner = next((one for one in theirs if _alike(unit, one)), None)
        if partner:
            pairs.append(paired(unit, partner))
            ours.remove(unit)
            theirs.remove(partner)
    return _with_biases(Match(pairs, ours, theirs))


def _with_biases(found: Match) -> Match:
    """Bare parameters without a partner as the biases that the layers of their module lack."""
    for side, other, left in (("keras", "pytorch", found.only_keras), ("pytorch", "keras", found.only_pytorch)):
        for i, pair in enumerate(found.pairs):
            here, there = getattr(pair, side), getattr(pair, other)
            bias = there.slots.get("bias")
            fits = [
                unit
                for unit in left
                if bias and unit.kind == "bare" and "bias" not in here.slots
                if unit.layer == here.layer and squeezed(unit.main.shape) == squeezed(bias.shape)
            ]
            if fits:
                left.remove(fits[0])
                with_bias = replace(here, slots={**here.slots, "bias": fits[0].main.through(torch.squeeze)})
                found.pairs[i] = replace(pair, **{side: with_bias})
    return found


def _alike(one: Unit, other: Unit) -> bool:
    """Equal signature, up to the two orders that a bare matrix may have and the shape of a kernel over patches."""
    if one.signature == other.signature:
        return True
    if one.signature[0] != other.signature[0] or one.signature[0] != "plain":
        return False
    here, there = one.signature[-1], other.signature[-1]
    if len(here) != len(there) and min(len(here), len(there)) == 2:
        return here[-1] == there[-1] and prod(here) == prod(there)
    return "bare" in (one.kind, other.kind) and len(here) == 2 and here == there[::-1]


def _common(a: Sequence[Any], b: Sequence[Any]) -> Iterator[tuple[int, int]]:
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
    if len(squeezed(here)) > len(squeezed(there)) == 2:
        dims = here[:-1]
        return Pair(one, other, (same, lambda kernel: kernel.unflatten(0, dims)))
    if len(squeezed(there)) > len(squeezed(here)) == 2:
        dims = there[:-1]
        return Pair(one, other, (lambda kernel: kernel.unflatten(0, dims), same))
    return Pair(one, other, (same, transposed), "transposed")


def copy_weights(pairs: Iterable[Pair]) -> None:
    """Give PyTorch the weights of Keras; the second bias of a recurrent layer becomes 0 where Keras has one."""
    with torch.no_grad():
        for pair in pairs:
            for role, slot in pair.pytorch.slots.items():
                if role in pair.keras.slots or role == next(iter(pair.pytorch.slots)):
                    here, there = arrays(pair, role)
                    there.copy_(here)
                elif role.startswith("recurrent bias"):
                    slot.value.zero_()


def arrays(pair: Pair, role: str, of: str = "value") -> tuple[torch.Tensor, torch.Tensor]:
    """The arrays of a role on both sides, in one layout: the weights, or their gradients (`grad`)."""
    first = role in (next(iter(pair.pytorch.slots)), next(iter(pair.keras.slots)))
    result = []
    for unit, view in ((pair.keras, pair.views[0]), (pair.pytorch, pair.views[1])):
        slot = unit.main if first else unit.slots[role]
        tensor = slot.tensor.detach() if of == "value" else slot.tensor.grad
        if tensor is None:
            tensor = torch.zeros_like(slot.tensor)
        array = slot.view(tensor)
        result.append(view(array) if first else array.reshape(-1) if array.ndim == 1 else torch.squeeze(array))
    return result[0], result[1]


def shared_roles(pair: Pair) -> list[str]:
    """The roles that both units have, the main one by Keras's name for it."""
    main, other = next(iter(pair.keras.slots)), next(iter(pair.pytorch.slots))
    rest = [role for role in pair.keras.slots if role in pair.pytorch.slots and role not in (main, other)]
    return [main, *rest]


def first_bad(ours: Trace, theirs: Trace) -> int | None:
    """Place of the first tensor behind the output of `ours` that `theirs` lacks from there on; None: it has the output.

    A tensor that the other model does not have is no difference where something computed from it is there again:
    the two may take different ways to the same values.
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
        for changed in orders(pair, found.keras):
            yield [changed if one is pair else one for one in found.pairs]
    known = Known(found.pytorch)
    for pair in here:
        for other in pairs:
            if other is not pair and alike(pair, other) and _reached(pair, other, found, known):
                yield swapped(found.pairs, pair, other)
    yield from _regrouped(found, pairs, before)
    for pair in before[:3]:
        for changed in orders(pair, found.keras, outputs=True):
            yield [changed if one is pair else one for one in found.pairs]
    for pair in here:
        for other in pairs:
            if other is not pair and alike(pair, other):
                yield swapped(found.pairs, pair, other)


def _regrouped(found: Match, pairs: list[Pair], before: list[Pair]) -> Iterator[list[Pair]]:
    """Every order of the nearest groups of layers that look alike and take the same tensor."""
    groups = 0
    for i, pair in enumerate(before):
        later = [one for one in pairs if not any(one is other for other in before)]
        group = [one for one in [*before[i:], *later] if alike(pair, one) and _twins(pair, one, found.keras)]
        if len(group) > 1 and groups < MOST_GROUPS:
            groups += 1
            for order in islice(permutations(group[:MOST_OF_A_GROUP]), 1, None):
                moved = {id(one): replace(one, pytorch=two.pytorch) for one, two in zip(group, order, strict=False)}
                yield [moved.get(id(one), one) for one in found.pairs]


def alike(one: Pair, other: Pair) -> bool:
    """The PyTorch units of two pairs can be exchanged."""
    shapes = [[unit.main.shape for unit in (pair.keras, pair.pytorch)] for pair in (one, other)]
    return one.keras.signature == other.keras.signature and shapes[0] == shapes[1]


def swapped(pairs: list[Pair], one: Pair, other: Pair) -> list[Pair]:
    changed = {id(one): replace(one, pytorch=other.pytorch), id(other): replace(other, pytorch=one.pytorch)}
    return [changed.get(id(pair), pair) for pair in pairs]


def _reached(pair: Pair, other: Pair, found: Match, known: Known) -> bool:
    """The PyTorch unit of `other` takes what the Keras unit of `pair` does."""
    theirs = set(taken(other.pytorch, found.pytorch))
    return any(theirs & set(known.find(found.keras.nodes[place].moments)) for place in taken(pair.keras, found.keras))


def taken(unit: Unit, trace: Trace) -> list[int]:
    """The tensors that reach a unit."""
    return [*trace.operands(unit.weights), *(trace.inputs_of(unit.layer) if unit.whole else [])]


def _twins(one: Pair, other: Pair, trace: Trace) -> bool:
    """Two units of Keras that take the same tensor, so that only what follows tells them apart."""
    here, there = ({trace.nodes[place].moments for place in taken(pair.keras, trace)} for pair in (one, other))
    return bool(here & there)


def orders(pair: Pair, trace: Trace, outputs: bool = False) -> Iterator[Pair]:
    """The pair with its kernel's inputs, or outputs, counted channels first by PyTorch and channels last by Keras."""
    if pair.order:
        return
    if not outputs and pair.views != (same, same):
        yield from _patch_orders(pair)
    if len(squeezed(pair.keras.main.shape)) != 2:
        return
    inside, outside = squeezed(pair.keras.main.shape)
    size = outside if outputs else inside
    sources = _after(pair.keras, trace) if outputs else taken(pair.keras, trace)
    for dims in dict.fromkeys(_grids(sources, trace, size)):
        *spatial, channels = dims
        rank = len(dims)
        front = 0 if not outputs else 1
        there = (*range(front + 1, front + rank), front)
        if outputs:
            ours = _grid(inside, (*spatial, channels), None)
            theirs = _grid(inside, (channels, *spatial), (0, *there))
        else:
            ours = _grid(None, (*spatial, channels), None, outside)
            theirs = _grid(None, (channels, *spatial), (*there, rank), outside)
        words = (
            f"{'outputs' if outputs else 'inputs'} of {' × '.join(map(str, dims))} counted channels first by PyTorch"
        )
        if not outputs or not all("bias" in unit.slots for unit in (pair.keras, pair.pytorch)):
            yield replace(pair, views=(ours, theirs), order=words)
        else:
            yield replace(
                pair,
                keras=_with_bias(pair.keras, (*spatial, channels), None),
                pytorch=_with_bias(pair.pytorch, (channels, *spatial), (*range(1, rank), 0)),
                views=(ours, theirs),
                order=words,
            )


def _patch_orders(pair: Pair) -> Iterator[Pair]:
    """A kernel over patches whose partner takes them flat, with the channels of a patch first."""
    here, there = pair.keras.main.shape, pair.pytorch.main.shape
    if len(there) == 2 < len(here):
        dims = (here[-2], *here[:-2])
        order = (*range(1, len(dims)), 0, len(dims))
        view: View = lambda kernel: kernel.unflatten(0, dims).permute(order)  # noqa: E731
        yield replace(pair, views=(same, view), order="patches counted channels first by PyTorch")
    if len(here) == 2 < len(there):
        dims = (there[-2], *there[:-2])
        order = (*range(1, len(dims)), 0, len(dims))
        view = lambda kernel: kernel.unflatten(0, dims).permute(order)  # noqa: E731
        yield replace(pair, views=(view, same), order="patches counted channels first by Keras")


def _grid(before: int | None, dims: tuple[int, ...], order: tuple[int, ...] | None, after: int | None = None) -> View:
    shape = (*([before] if before else []), *dims, *([after] if after else []))

    def viewed(kernel: torch.Tensor) -> torch.Tensor:
        squeezed = kernel.squeeze() if kernel.ndim != 2 else kernel
        # Splitting an axis is always a view, of a transposed kernel too.
        axis = 1 if before else 0
        split = squeezed.unflatten(axis, dims)
        return split.permute(order) if order else split.reshape(shape) if split.is_contiguous() else split

    return viewed


def _with_bias(unit: Unit, dims: tuple[int, ...], order: tuple[int, ...] | None) -> Unit:
    bias = unit.slots["bias"].through(lambda b: b.unflatten(0, dims).permute(order or tuple(range(len(dims)))))
    return replace(unit, slots={**unit.slots, "bias": bias})


def _grids(places: Iterable[int], trace: Trace, size: int) -> Iterator[tuple[int, ...]]:
    """Shapes without the batch that a flat tensor of `size` elements a sample had before it was flattened."""
    for place in places:
        node: int | None = place
        while node is not None:
            shape = trace.nodes[node].shape
            for first in range(1, len(shape) - 1):
                if torch.Size(shape[first:]).numel() == size:
                    yield shape[first:]
            parents = trace.nodes[node].parents
            node = parents[0] if trace.nodes[node].operation in VIEWS and parents else None


def _after(unit: Unit, trace: Trace) -> list[int]:
    """The tensors that views make of what a unit gives, which may be its output as a grid."""
    made = {i for i, node in enumerate(trace.nodes) if node.uses & unit.weights}
    for i, node in enumerate(trace.nodes):
        if set(node.parents) & made and node.operation in (*VIEWS, "relu", "add", "gelu", "silu", "leaky_relu"):
            made.add(i)
    return sorted(made)
