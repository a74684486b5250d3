"""Names the layer from which two models compute different things, and the likely cause."""

from dataclasses import dataclass, replace

from framebench.prove.inside.causes import ACTIVATIONS, RULES, Parting, at_every_step, made, runs
from framebench.prove.inside.pairs import Match, Pair, first_bad
from framebench.prove.inside.trace import Known, Trace, within
from framebench.prove.inside.units import Unit, squeezed


@dataclass(frozen=True)
class Place:
    """The layers at which two models part, by their paths, and the cause in words."""

    keras: str | None
    pytorch: str | None
    cause: str | None


def locate(found: Match) -> Place:
    """The place of the first difference of a match whose traces part."""
    assert found.bad is not None
    back = first_bad(found.pytorch, found.keras)
    theirs = None if back is None else found.pytorch.nodes[back]
    parting = _of_one_layer(Parting(found.keras.nodes[found.bad], theirs, found))
    theirs = parting.theirs
    if place := _unmatched(parting) or _unused(parting):
        return place
    cause = next(filter(None, (rule(parting) for rule in RULES)), None)
    pair = parting.same_pair or _owner_pair(parting)
    if pair:
        return Place(pair.keras.layer, pair.pytorch.layer, cause)
    other = None if theirs is None else layer_of(found.pytorch, found.pytorch.nodes.index(theirs))
    return Place(layer_of(found.keras, found.bad), other, cause)


def _of_one_layer(parting: Parting) -> Parting:
    """Where two branches part, the operations of one layer on both sides: their order differs between the sides."""
    pair = parting.pair(parting.ours, "keras")
    if parting.same_pair or not pair or not parting.pair(parting.theirs, "pytorch"):
        return parting
    known = Known(parting.found.keras)
    for node in parting.found.pytorch.nodes:
        if node.live and id(pair.pytorch.main.tensor) in node.uses:
            fed = [parting.found.pytorch.nodes[parent] for parent in node.parents]
            parts = not known.find(node.moments) and all(known.find(one.moments) for one in fed if one.live)
            return replace(parting, theirs=node) if parts else parting
    return parting


def _owner_pair(parting: Parting) -> Pair | None:
    """The pair of the Keras layer with the first difference, if it has weights, as one with a fused activation has.

    None if PyTorch parts before it reaches that layer.
    """
    found = parting.found
    pair = parting.pair(parting.ours, "keras") or parting.owned
    if pair and parting.theirs:
        parts = found.pytorch.nodes.index(parting.theirs)
        if found.pytorch.first_use(pair.pytorch.weights) > parts:
            return None
    return pair


def layer_of(trace: Trace, place: int) -> str:
    """The layer that ran an operation; for a bare activation, pooling or sum, the layer that made its input."""
    node = trace.nodes[place]
    functional = not node.owner or (node.operation in ACTIVATIONS and _holds_layers(trace, node.owner))
    if not functional and not (node.uses and _holds_layers(trace, node.owner)):
        return node.owner
    todo = [parent for parent in node.parents if trace.nodes[parent].live]
    while todo:
        one = trace.nodes[todo.pop()]
        if one.owner and not _holds_layers(trace, one.owner):
            return one.owner
        todo += [parent for parent in one.parents if trace.nodes[parent].live]
    return node.owner


def _holds_layers(trace: Trace, owner: str) -> bool:
    return any(node.owner.startswith(f"{owner}/" if owner else "") and node.owner != owner for node in trace.nodes)


def _unmatched(parting: Parting) -> Place | None:
    """A layer with weights that only one model has."""
    found = parting.found
    for units, trace, node, ours in (
        (found.only_keras, found.keras, parting.ours, True),
        (found.only_pytorch, found.pytorch, parting.theirs, False),
    ):
        for unit in units:
            if node and node.uses & unit.weights:
                return lacking(unit, found, ours)
        if units and node and not any(node.uses & unit.weights for unit in units):
            first = min(units, key=lambda unit: trace.first_use(unit.weights))
            other = [one for one in (found.only_pytorch if ours else found.only_keras) if one.kind == first.kind]
            if not other and trace.first_use(first.weights) <= trace.nodes.index(node):
                return lacking(first, found, ours)
    return None


def lacking(unit: Unit, found: Match, ours: bool) -> Place:
    """The place of a layer without a partner, or with one of another shape."""
    others = found.only_pytorch if ours else found.only_keras
    other = next((one for one in others if one.kind == unit.kind), None)
    here, there = ("keras.py", "pytorch.py") if ours else ("pytorch.py", "keras.py")
    names: tuple[str | None, str | None]
    if "made" in unit.config:
        # The module that has the others, and the layer that one of them was matched to.
        pair = next((one for one in found.pairs if within(one.pytorch.layer, unit.layer)), None)
        return Place(pair.keras.layer if pair else None, unit.layer, made(unit))
    tied = _tied(unit, found, ours)
    if tied:
        names = (tied.keras.layer, unit.layer) if not ours else (unit.layer, tied.pytorch.layer)
        return Place(
            *names, f"tied (shared) weights: {there} uses one weight twice, {here} has one more of the same shape"
        )
    if other:
        cause = f"shape of the weights: {unit.main.shape} in {here}, {other.main.shape} in {there}"
    else:
        name = (unit.layer if ours else unit.layer.replace("/", ".")) or "a weight of the model itself"
        cause = f"a layer that only {here} has: {name}, {unit.parameters} parameters"
    names = (unit.layer, other.layer if other else None)
    return Place(names[0], names[1], cause) if ours else Place(names[1], names[0], cause)


def _tied(unit: Unit, found: Match, ours: bool) -> Pair | None:
    """The pair whose weight the other model uses a second time, where this one has a weight of its own."""
    trace, side = (found.pytorch, "pytorch") if ours else (found.keras, "keras")
    shape = squeezed(unit.main.shape)
    for pair in found.pairs:
        other = getattr(pair, side)
        alike = "norm" not in (unit.kind, other.kind) and squeezed(other.main.shape) in (shape, shape[::-1])
        if alike and not at_every_step(pair) and runs(trace, other) > 1:
            return pair
    return None


def _unused(parting: Parting) -> Place | None:
    """A layer that both models have, but only one runs."""
    found = parting.found
    for pair in filter(None, [parting.pair(parting.ours, "keras"), parting.pair(parting.theirs, "pytorch")]):
        run = [
            trace.first_use(unit.weights) < len(trace.nodes)
            for trace, unit in ((found.keras, pair.keras), (found.pytorch, pair.pytorch))
        ]
        if not all(run):
            has = "PyTorch" if run[0] else "Keras"
            return Place(pair.keras.layer, pair.pytorch.layer, f"weights that {has} has but never uses")
    return None
