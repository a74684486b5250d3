"""Matches the weights of two models: by shape and order first, then by the results of their layers.

A guess by order of execution is tried: the weights are copied and both models run. The first tensor on the way to the
Keras model's output that the PyTorch model does not compute shows where the guess is wrong, or where the models differ.
Exchanges near that place are tried, and one is kept if it moves the first such tensor further back. A wrong match can
therefore only make a proof fail; it cannot make one pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch

from framebench.prove.inside.fusing import fitted, in_order
from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.pairs import (
    Match,
    Pair,
    copy_weights,
    first_bad,
    fit,
    in_common,
    paired,
    sources,
)
from framebench.prove.inside.proposals import proposals, regrouped
from framebench.prove.inside.pytorch_side import PyTorchSide
from framebench.prove.inside.trace import Trace
from framebench.prove.inside.units import Unit, squeezed
from framebench.workloads.loading import UserError

MOST_TRIALS = 80  # runs of a model; a pair of 50 layers in another order takes fewer than 20
RADII = (4, 2, 1, 0)  # layers on each side of a layer that must be alike, the widest first


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
        for pairs in islice(regrouped(found, free, free), MOST_TRIALS - found.trials):
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
        common = list(in_common([here[id(unit)] for unit in ours], [there[id(unit)] for unit in theirs]))
        pairs += [paired(ours[i], theirs[j]) for i, j in common]
        ours = [unit for i, unit in enumerate(ours) if i not in {i for i, _ in common}]
        theirs = [unit for j, unit in enumerate(theirs) if j not in {j for _, j in common}]
    for unit in list(ours):
        partner = next((one for one in theirs if fit(unit, one)), None)
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
