"""Matches the weights of two models: by shape and order first, then by the results of their layers.

A guess by order of execution is tried: the weights are copied and both models run. The first tensor on the way to the
Keras model's output that the PyTorch model does not compute shows where the guess is wrong, or where the models differ.
Exchanges near that place are tried, and one is kept if it moves the first such tensor further back. A wrong match can
therefore only make a proof fail; it cannot make one pass.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, permutations, product
from math import prod
from typing import Any

import torch

from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.pytorch_side import PyTorchSide
from framebench.prove.inside.trace import VIEWS, Known, Trace
from framebench.prove.inside.units import (
    Slot,
    Unit,
    View,
    gates,
    same,
    singles,
    split,
    split_inputs,
    squeezed,
    stacked,
)
from framebench.workloads.loading import UserError

MOST_TRIALS = 80  # runs of a model; a pair of 50 layers in another order takes fewer than 20
RADII = (4, 2, 1, 0)  # layers on each side of a layer that must be alike, the widest first
MOST_GROUPS = 3  # of such layers, the nearest, before a place where the models part
MOST_OF_A_GROUP = 4  # interchangeable layers that are tried in every order: 24
MOST_AXES = 3  # of a grid of outputs, whose every order is tried
# Operations that keep the channels of a tensor apart and in their order.
CHANNELWISE = (
    *("relu", "relu_", "silu", "gelu", "elu", "leaky_relu", "sigmoid", "tanh", "native_batch_norm", "mean"),
    *("max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "constant_pad_nd", "native_dropout"),
    *("add", "add_", "sub", "mul", "mul_", "div"),
    *("upsample_nearest2d", "upsample_bilinear2d", "cudnn_batch_norm", "_native_batch_norm_legit_no_training"),
)


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


def match(
    keras: KerasSide,
    pytorch: PyTorchSide,
    inputs: tuple[torch.Tensor, torch.Tensor],
    told: Mapping[str, str],
    prepare: Callable[[list[Pair]], object],
) -> Match:
    """The match of two models; `told` are the user's own pairs, layer of Keras → layer of PyTorch.

    `prepare` gives PyTorch the settings of Keras for the pairs to try.
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
    if found.bad is None and not _in_place(found.keras, found.pytorch):
        # The right numbers in other places, for example of a product of two layers in swapped order.
        last = sorted(found.pairs, key=lambda pair: -trace.first_use(pair.keras.weights))
        free = [pair for pair in last if pair.keras.layer not in fixed]
        for pairs in islice(_regrouped(found, free, free), MOST_TRIALS - found.trials):
            there, bad = tried(pairs)
            if bad is None and _in_place(trace, there):
                found.pairs, found.pytorch = pairs, there
                break
    copy_weights(found.pairs)
    prepare(found.pairs)
    return found


def _in_place(ours: Trace, theirs: Trace) -> bool:
    """The outputs are equal element by element, channels last or first."""
    here, there = ours.result, theirs.result
    layouts = [here, here.movedim(-1, 1)] if here.ndim > 2 else [here]
    return any(one.shape == there.shape and torch.allclose(one, there, rtol=1e-6, atol=1e-9) for one in layouts)


def in_order(units: Iterable[Unit], trace: Trace) -> list[Unit]:
    """Units by their first use in a forward pass; those that are never used come last."""
    return sorted(units, key=lambda unit: trace.first_use(unit.weights))


def fitted(ours: list[Unit], theirs: list[Unit]) -> tuple[list[Unit], list[Unit]]:
    """Both lists; layers fused or kept as bare parameters on one side are split where the other side has the parts."""
    ours, theirs = _gated(ours, theirs), _gated(theirs, ours)
    ours, theirs = _unfused(ours, theirs), _unfused(theirs, ours)
    return _bared(ours, theirs), _bared(theirs, ours)


def _surplus(units: list[Unit], others: list[Unit]) -> Counter:
    return Counter(unit.signature for unit in units) - Counter(unit.signature for unit in others)


def _gated(units: list[Unit], others: list[Unit]) -> list[Unit]:
    """Recurrent layers as one dense layer for each gate, if the other side has a cell of the user's own."""
    over = _surplus(units, others)
    if not any(signature[0] == "plain" for signature in _surplus(others, units)):
        return units  # one more layer of its kind
    return [
        part
        for unit in units
        for part in (gates(unit) if unit.kind == "recurrent" and over[unit.signature] else [unit])
    ]


def _unfused(units: list[Unit], others: list[Unit]) -> list[Unit]:
    """Fused layers and stacks of parameters, split into the parts that the other side has left."""
    wanted, over = _surplus(others, units), _surplus(units, others)
    sizes: dict[str, int] = {}  # of the stacks of a layer
    result = []
    for unit in units:
        done = [unit]
        if unit.signature[0] == "plain" and over[unit.signature]:
            for parts in _pieces(unit, wanted):
                needed = Counter(one.signature for one in parts)
                if needed <= wanted:
                    wanted -= needed
                    over[unit.signature] -= 1
                    done = parts
                    break
        if done[0].place is not None:
            sizes[unit.layer] = len(done)
        result.append(done)
    # A stack of biases has no layer of its own on the other side; it is cut like the kernels of its layer.
    return [
        part
        for done in result
        for unit in done
        for part in (
            stacked(unit)
            if unit.kind == "bare" and unit.place is None and sizes.get(unit.layer) == unit.main.shape[0]
            else [unit]
        )
    ]


def _pieces(unit: Unit, wanted: Counter) -> Iterator[list[Unit]]:
    """Ways to cut a layer: outputs in equal or in the wanted parts, inputs in two, both, or slices of a stack."""
    inside, outside = (1, 1, *unit.main.shape)[-2:]
    shapes = [signature[-1] for signature in wanted if wanted[signature] > 0 and signature[0] == "plain"]
    for parts in (3, 2, 4):
        if outside % parts == 0:
            yield split(unit, [outside // parts] * parts)
    fitting = [shape[-1] for shape in shapes if shape and shape[:-1] == squeezed(unit.main.shape[:-1])]
    for parts in (2, 3):
        for sizes in product(fitting, repeat=parts):
            if sum(sizes) == outside:
                yield split(unit, sizes)
    if unit.kind == "bare" and len(unit.main.shape) > 1 and unit.main.shape[0] > 1:
        yield stacked(unit)
    if unit.kind == "kernel":
        # A user's own cell may concatenate state and input, and compute all gates as one layer.
        for parts in (1, 4, 3, 2):
            rows = {
                shape[-2] if len(shape) == len(squeezed(unit.main.shape)) else 1 for shape in shapes if len(shape) > 1
            }
            for size in sorted(rows & set(range(1, inside))) if outside % parts == 0 else ():
                columns = split(unit, [outside // parts] * parts)
                yield [part for column in columns for part in split_inputs(column, (size, inside - size))]


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
    """For each radius of RADII, from the widest, a label of each unit's surroundings, by the unit's id.

    A unit is labelled with its own signature and the labels of the units before and after it, again and again
    (Weisfeiler and Lehman's refinement): branches of equal shapes differ by where they lead.
    """
    before = sources(units, trace)
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


def guess(
    ours: list[Unit],
    theirs: list[Unit],
    told: Mapping[str, str],
    around: list[dict[int, Any]],
    around_theirs: list[dict[int, Any]],
) -> Match:
    """Pairs in order: the user's own, then the longest common subsequences by `neighbourhoods`, then the rest."""
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
    sliced = _slices(ours, theirs)
    pairs += sliced
    ours, aside = _without(ours, [pair.keras for pair in sliced])
    theirs, aside_theirs = _without(theirs, [pair.pytorch for pair in sliced])
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
    return _with_biases(Match(pairs, ours + aside, theirs + aside_theirs))


def _slices(ours: list[Unit], theirs: list[Unit]) -> list[Pair]:
    """The slices of stacks, and gates, with the layers of the other side, in the order of both.

    They are alike all around.
    """
    pairs, left, right = [], list(ours), list(theirs)
    for side, others in ((left, right), (right, left)):
        for unit in [unit for unit in side if unit.place is not None or unit.gate]:
            partner = next((one for one in others if one.signature == unit.signature and len(one.main.shape) > 1), None)
            if partner and len(unit.main.shape) > 1:
                pairs.append(paired(unit, partner) if side is left else paired(partner, unit))
                others.remove(partner)
    return pairs


def _without(units: list[Unit], taken: list[Unit]) -> tuple[list[Unit], list[Unit]]:
    """The units not yet taken; slices, which may be biases, are in a list of their own."""
    left = [unit for unit in units if unit not in taken]
    return [unit for unit in left if unit.place is None], [unit for unit in left if unit.place is not None]


def _with_biases(found: Match) -> Match:
    """Bare parameters without a partner, taken as the biases that layers or other parameters of their module lack."""
    for side, other, left in (("keras", "pytorch", found.only_keras), ("pytorch", "keras", found.only_pytorch)):
        for i, pair in enumerate(found.pairs):
            here, there = getattr(pair, side), getattr(pair, other)
            bias = there.slots.get("bias")
            fits = [
                unit
                for unit in left
                if bias and unit.kind == "bare" and "bias" not in here.slots
                if _parent(unit) == _parent(here) or unit.layer == here.layer
                if squeezed(unit.main.shape) == squeezed(bias.shape)
            ]
            if fits:
                fit = min(fits, key=lambda unit: (unit.layer != here.layer, unit.place != here.place))
                left.remove(fit)
                with_bias = replace(here, slots={**here.slots, "bias": fit.main.through(torch.squeeze)})
                found.pairs[i] = replace(pair, **{side: with_bias})
    return found


def _parent(unit: Unit) -> str:
    return unit.layer.rpartition("/")[0]


def _alike(one: Unit, other: Unit) -> bool:
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
            yield Pair(one, other, views, f"{_product(shorter)} of {whose} as axes {_numbers(order)} of the other's")


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
    yield from _regrouped(found, pairs, before)
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
            grids = [next(_grids([part], found.keras, size), ()) for part, size in ours]
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
            for dims in dict.fromkeys(dims for dims in _grids(_after(partner, trace), trace, size) if len(dims) == 2):
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
    cut = _last_axes([axes[i] for i in order], back)
    here = replace(
        getattr(pair, side),
        slots={role: slot.through(lambda array: cut(array).select(-3, place)) for role, slot in whole.slots.items()},
    )
    there = getattr(pair, other)
    bias = {"bias": there.slots["bias"].through(_last_axes(dims, (0, 1)))} if "bias" in there.slots else {}
    there = replace(there, slots={**there.slots, **bias})
    views = {side: same, other: _last_axes(dims, (0, 1))}
    words = f"outputs cut from {_product(axes[i] for i in order)}"
    return replace(
        pair, **{side: here, other: there}, views=(views["keras"], views["pytorch"]), order=words, plain=pair
    )


def _regrouped(found: Match, pairs: list[Pair], before: list[Pair]) -> Iterator[list[Pair]]:
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


def _reached(pair: Pair, other: Pair, found: Match, known: Known) -> bool:
    """The PyTorch unit of `other` takes what the Keras unit of `pair` does."""
    theirs = set(taken(other.pytorch, found.pytorch))
    return any(theirs & set(known.find(found.keras.nodes[place].moments)) for place in taken(pair.keras, found.keras))


def taken(unit: Unit, trace: Trace) -> list[int]:
    """The tensors that reach a unit."""
    return [*trace.operands(unit.weights), *(trace.inputs_of(unit.layer) if unit.whole else [])]


def _twins(one: Pair, other: Pair, trace: Trace) -> bool:
    """Two units of Keras that take the same tensor, so that only later layers distinguish them."""
    here, there = ({trace.nodes[place].moments for place in taken(pair.keras, trace)} for pair in (one, other))
    return bool(here & there)


def orders(pair: Pair, trace: Trace, outputs: bool = False) -> Iterator[Pair]:
    """The pair with its kernel's inputs, or outputs, counted in another order of their underlying axes."""
    if not outputs:
        yield from (one for one in layouts(pair.keras, pair.pytorch) if one.order != pair.order)
    if pair.order:
        return
    shape = pair.keras.main.shape
    if outputs or pair.keras.kind == pair.pytorch.kind == "norm":
        places = _after(pair.keras, trace) if outputs else taken(pair.keras, trace)
        for dims in dict.fromkeys(_grids(places, trace, shape[-1])):
            for order in _other_orders(len(dims)):
                yield _reordered(pair, dims, order)
        return
    if pair.views != (same, same):
        yield from _patch_orders(pair)
    if len(squeezed(shape)) != 2:
        return
    inside, outside = squeezed(shape)
    for dims in dict.fromkeys(_grids(taken(pair.keras, trace), trace, inside)):
        *spatial, channels = dims
        rank = len(dims)
        ours = _grid((*spatial, channels), None, outside)
        theirs = _grid((channels, *spatial), (*range(1, rank), 0, rank), outside)
        words = f"inputs of {_product(dims)} counted channels first by PyTorch"
        yield replace(pair, views=(ours, theirs), order=words)


def _product(dims: Iterable[int]) -> str:
    return " × ".join(map(str, dims))


def _other_orders(rank: int) -> list[tuple[int, ...]]:
    """Orders of axes, the likeliest first: channels first. For many axes, no other is tried."""
    first = (rank - 1, *range(rank - 1))
    return list(dict.fromkeys([first, *permutations(range(rank))] if rank <= MOST_AXES else [first]))[:5]


def _reordered(pair: Pair, dims: tuple[int, ...], order: tuple[int, ...]) -> Pair:
    """The pair with outputs that are a grid of `dims` in Keras, whose axes stand in `order` in PyTorch."""
    there = tuple(dims[i] for i in order)
    ours, theirs = _last_axes(dims, range(len(dims))), _last_axes(there, [order.index(i) for i in range(len(dims))])
    units = []
    for unit, view in ((pair.keras, ours), (pair.pytorch, theirs)):
        rest = [role for role in unit.slots if unit.kind == "norm" or role == "bias"]
        units.append(replace(unit, slots={**unit.slots, **{role: unit.slots[role].through(view) for role in rest}}))
    before, after = pair.views
    views = (lambda kernel: ours(before(kernel)), lambda kernel: theirs(after(kernel)))
    words = f"outputs of {_product(dims)} counted as {_product(there)} by PyTorch"
    return replace(pair, keras=units[0], pytorch=units[1], views=views, order=words)


def _last_axes(dims: Sequence[int], order: Sequence[int]) -> View:
    """The last axis as several, in another order."""

    def viewed(array: torch.Tensor) -> torch.Tensor:
        apart = array.unflatten(-1, tuple(dims))
        lead = apart.ndim - len(dims)
        return apart.permute(*range(lead), *(lead + i for i in order))

    return viewed


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


def _grid(dims: tuple[int, ...], order: tuple[int, ...] | None, after: int) -> View:
    def viewed(kernel: torch.Tensor) -> torch.Tensor:
        # Splitting an axis is always a view, of a transposed kernel too.
        split = (kernel.squeeze() if kernel.ndim != 2 else kernel).unflatten(0, dims)
        return split.permute(order) if order else split

    return viewed


def _grids(places: Iterable[int], trace: Trace, size: int) -> Iterator[tuple[int, ...]]:
    """Shapes, without the batch, of tensors that were flattened to `size` elements a sample."""
    for place in places:
        node: int | None = place
        while node is not None:
            shape = trace.nodes[node].shape
            for first in range(1, len(shape) - 1):
                if torch.Size(shape[first:]).numel() == size:
                    yield shape[first:]
            one = trace.nodes[node]
            live = [parent for parent in one.parents if trace.nodes[parent].live]
            kept = one.operation in CHANNELWISE and live and trace.nodes[live[0]].shape == shape
            node = live[0] if live and (kept or one.operation in VIEWS) else None


def _after(unit: Unit, trace: Trace) -> list[int]:
    """The views of a unit's result, which may be its output as a grid."""
    made = {i for i, node in enumerate(trace.nodes) if node.uses & unit.weights}
    for i, node in enumerate(trace.nodes):
        if set(node.parents) & made and node.operation in (*VIEWS, "relu", "add", "gelu", "silu", "leaky_relu"):
            made.add(i)
    return sorted(made)
