"""Names the layer from which two models compute different things, and the likely cause."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from framebench.prove.inside.matching import Match, Pair, first_bad, orders
from framebench.prove.inside.trace import VIEWS, Node, Trace, within
from framebench.prove.inside.units import Unit, squeezed

ACTIVATIONS = {
    **{name: name for name in ("relu", "gelu", "silu", "elu", "sigmoid", "tanh", "softplus", "mish", "leaky_relu")},
    **{"relu_": "relu", "silu_": "silu", "hardtanh": "relu6", "hardtanh_": "relu6", "elu_": "elu", "clamp": "relu6"},
    **{"hardswish": "hard_swish", "hardsigmoid": "hard_sigmoid", "leaky_relu_": "leaky_relu", "sigmoid_": "sigmoid"},
    **{"log_sigmoid_forward": "log_sigmoid", "_prelu_kernel": "prelu", "selu": "selu", "exp": "exponential"},
    **{"tanh_": "tanh", "_softmax": "softmax", "hardswish_": "hard_swish", "relu6": "relu6", "clamp_": "relu6"},
}
POOLS = {
    **{"max_pool2d_with_indices": "maximum", "max_pool3d_with_indices": "maximum", "amax": "maximum", "max": "maximum"},
    **{"avg_pool2d": "average", "avg_pool3d": "average", "_adaptive_avg_pool2d": "average", "mean": "average"},
}
MASKS = ("masked_fill", "masked_fill_", "where", "tril", "triu", "logical_and", "logical_not")
SOFTMAX = ("_softmax", "_safe_softmax")
# Moments of scores that only a factor tells apart agree to this.
RATIO = 1e-6


@dataclass(frozen=True)
class Place:
    """The layers at which two models part, by their paths, and the cause in words."""

    keras: str | None
    pytorch: str | None
    cause: str | None


@dataclass(frozen=True)
class Parting:
    """The first operation of each side that the other has no result of, and its layer's pair."""

    ours: Node
    theirs: Node | None
    found: Match

    def pair(self, node: Node | None, side: str) -> Pair | None:
        """The pair whose weights an operation takes."""
        if node is None:
            return None
        return next((one for one in self.found.pairs if node.uses & getattr(one, side).weights), None)

    @property
    def owned(self) -> Pair | None:
        """The pair of the Keras layer in which the first difference is."""
        pairs = [one for one in self.found.pairs if one.keras.layer and within(self.ours.owner, one.keras.layer)]
        return pairs[-1] if pairs else None

    @property
    def same_pair(self) -> Pair | None:
        one, other = self.pair(self.ours, "keras"), self.pair(self.theirs, "pytorch")
        return one if one and one is other else None


def locate(found: Match) -> Place:
    """The place of the first difference of a match whose traces part."""
    assert found.bad is not None
    back = first_bad(found.pytorch, found.keras)
    theirs = None if back is None else found.pytorch.nodes[back]
    parting = Parting(found.keras.nodes[found.bad], theirs, found)
    if place := _unmatched(parting):
        return place
    cause = next(filter(None, (rule(parting) for rule in RULES)), None)
    pair = parting.same_pair or _owner_pair(parting)
    if pair:
        return Place(pair.keras.layer, pair.pytorch.layer, cause)
    other = None if theirs is None else layer_of(found.pytorch, found.pytorch.nodes.index(theirs))
    return Place(layer_of(found.keras, found.bad), other, cause)


def _owner_pair(parting: Parting) -> Pair | None:
    """The pair of the Keras layer in which the first difference is, where it has weights, as a fused activation has.

    None where PyTorch parts before it comes to that layer.
    """
    found = parting.found
    pair = parting.pair(parting.ours, "keras") or parting.owned
    if pair and parting.theirs:
        parts = found.pytorch.nodes.index(parting.theirs)
        if found.pytorch.first_use(pair.pytorch.weights) > parts:
            return None
    return pair


def layer_of(trace: Trace, place: int) -> str:
    """The layer that ran an operation; of a bare activation, pooling or sum, the layer that made what it takes."""
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
    """The place of a layer that has no partner, or one of another shape."""
    others = found.only_pytorch if ours else found.only_keras
    other = next((one for one in others if one.kind == unit.kind), None)
    here, there = ("keras.py", "pytorch.py") if ours else ("pytorch.py", "keras.py")
    names: tuple[str | None, str | None]
    tied = _tied(unit, found, ours)
    if tied:
        names = (tied.keras.layer, unit.layer) if not ours else (unit.layer, tied.pytorch.layer)
        return Place(
            *names, f"tied (shared) weights: {there} uses one weight twice, {here} has one more of the same shape"
        )
    if other:
        cause = f"shape of the weights: {unit.main.shape} in {here}, {other.main.shape} in {there}"
    else:
        name = unit.layer or "a weight of the model itself"
        cause = f"a layer that only {here} has: {name}, {unit.parameters} parameters"
    names = (unit.layer, other.layer if other else None)
    return Place(names[0], names[1], cause) if ours else Place(names[1], names[0], cause)


def _tied(unit: Unit, found: Match, ours: bool) -> Pair | None:
    """The pair whose weight the other model uses in a second place, where this one has a weight of its own."""
    trace, side = (found.pytorch, "pytorch") if ours else (found.keras, "keras")
    shape = squeezed(unit.main.shape)
    for pair in found.pairs:
        other = getattr(pair, side)
        weight = id(other.main.tensor)
        operations = {node.operation for node in trace.nodes if weight in node.uses} - set(VIEWS)
        if squeezed(other.main.shape) in (shape, shape[::-1]) and len(operations) > 1:
            return pair
    return None


def _dropout(parting: Parting) -> str | None:
    """A dropout that only one side has, or has elsewhere."""
    ours = [call for call in parting.found.keras.dropouts if call.owner == parting.ours.owner]
    theirs = [call for call in parting.found.pytorch.dropouts if parting.theirs and call.owner == parting.theirs.owner]
    if not ours and not theirs:
        return None
    rates = [f"rate {calls[0].rate:g}" if calls else "none" for calls in (ours, theirs)]
    return f"dropout: {rates[0]} in Keras, {rates[1]} in PyTorch"


def _bias(parting: Parting) -> str | None:
    for pair in filter(None, [parting.pair(parting.ours, "keras"), parting.pair(parting.theirs, "pytorch")]):
        ours, theirs = ({role.partition(" ")[0] for role in unit.slots} for unit in (pair.keras, pair.pytorch))
        for role in ("bias", "beta", "gamma"):
            if (role in ours) != (role in theirs):
                has, lacks = ("Keras", "PyTorch") if role in ours else ("PyTorch", "Keras")
                word = {"bias": "bias", "beta": "bias (beta) of the norm", "gamma": "scale (gamma) of the norm"}[role]
                return f"{word}: {has} has one, {lacks} has none"
    return None


def _convolution(parting: Parting) -> str | None:
    pair = parting.same_pair
    if not pair or "stride" not in pair.keras.config or "stride" not in pair.pytorch.config:
        return None
    ours, theirs = pair.keras.config, pair.pytorch.config
    for key in ("stride", "dilation", "groups", "kernel size"):
        if ours[key] == theirs[key]:
            continue
        words = f"{key} of the convolution: {ours[key]} in Keras, {theirs[key]} in PyTorch"
        if key == "stride":
            for other in parting.found.pairs:
                here, there = other.keras.config.get(key), other.pytorch.config.get(key)
                if other is not pair and here == theirs[key] and there == ours[key]:
                    return f"{words}, the other way round in {other.keras.layer}: it stands in the other convolution"
        return words
    inside = parting.found.keras.inputs_of(pair.keras.layer)
    shape = parting.found.keras.nodes[inside[0]].shape if inside else ()
    if theirs["padding"] in ("same", ours["padding"]):
        return None
    pads = _same_padding(shape[1:-1], ours) if ours["padding"] == "same" else ours["padding"]
    each = theirs["padding"]
    if (pads == "valid" and not any(each)) or pads == f"'same' ({_sides(each, each)})":
        return None
    strided = " of a strided convolution" if max(ours["stride"]) > 1 else " of the convolution"
    return f"padding{strided}: {pads} in Keras, {theirs['padding']} on each side in PyTorch"


def _same_padding(sizes: Sequence[int], config: Any) -> str:
    """Zeros before and after that Keras adds for padding='same'."""
    pads = []
    for n, k, s, d in zip(sizes, config["kernel size"], config["stride"], config["dilation"], strict=False):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return f"'same' ({_sides(*zip(*pads, strict=True))})" if pads else "'same'"


def _sides(before: Sequence[int], after: Sequence[int]) -> str:
    pads = (f"{one} before and {other} after" for one, other in zip(before, after, strict=True))
    return ", ".join(dict.fromkeys(pads))


def _activation(parting: Parting) -> str | None:
    ours, theirs = (node and ACTIVATIONS.get(node.operation) for node in (parting.ours, parting.theirs))
    if not ours and not theirs:
        return None
    if any(node and node.operation in SOFTMAX for node in (parting.ours, parting.theirs)):
        return None
    if ours == theirs and parting.theirs:
        mine, others = parting.ours.constants, parting.theirs.constants
        return f"activation: {ours} with {mine} in Keras, with {others} in PyTorch" if mine != others else None
    return f"activation: {ours or 'none'} in Keras, {theirs or 'none'} in PyTorch"


def _upsampling(parting: Parting) -> str | None:
    names = [node.operation if node else "" for node in (parting.ours, parting.theirs)]
    if not any("upsample" in name for name in names):
        return None
    words = [name.removeprefix("upsample_") if "upsample" in name else "another" for name in names]
    if words[0] == words[1] and parting.theirs:
        words = [f"{words[0]} with {node.constants}" for node in (parting.ours, parting.theirs)]
    return f"interpolation of the upsampling: {words[0]} in Keras, {words[1]} in PyTorch"


def _norm(parting: Parting) -> str | None:
    """A norm that stands elsewhere, or normalises otherwise."""
    one, other = parting.pair(parting.ours, "keras"), parting.pair(parting.theirs, "pytorch")
    one = one or parting.owned
    if one and other is one and one.keras.kind == "norm":
        if parting.found.training:
            return (
                "statistics of the norm: in training, one side normalises with those of the batch, the other does not"
            )
        return "axes or groups of the norm"
    if "norm" in (one and one.keras.kind, other and other.pytorch.kind):
        which = "Keras" if one and one.keras.kind == "norm" else "PyTorch"
        return f"place of a norm: {which} normalises here, the other side elsewhere"
    return None


def _sum(parting: Parting) -> str | None:
    """A sum of two tensors, as of a shortcut, that only one side has."""
    sums = [
        bool(
            node and node.operation in ("add", "add_") and sum(trace.nodes[parent].live for parent in node.parents) > 1
        )
        for node, trace in ((parting.ours, parting.found.keras), (parting.theirs, parting.found.pytorch))
    ]
    if sums[0] == sums[1]:
        return None
    return f"sum (shortcut): only {'Keras' if sums[0] else 'PyTorch'} adds two tensors here"


def _pooling(trace: Trace, node: Node) -> str | None:
    """The kind of a pooling, also where its padding is an operation of its own."""
    place = trace.nodes.index(node)
    pads = "pad" in node.operation
    following = [one for one in trace.nodes[place : place + 4] if place in one.parents] if pads else []
    return next((POOLS[one.operation] for one in [node, *following] if one.operation in POOLS), None)


def _pool(parting: Parting) -> str | None:
    ours = _pooling(parting.found.keras, parting.ours)
    theirs = parting.theirs and _pooling(parting.found.pytorch, parting.theirs)
    if ours and theirs and ours != theirs:
        return f"pooling: {ours} in Keras, {theirs} in PyTorch"
    if ours and theirs:
        return "padding, size or stride of the pooling"
    return None


def _recurrent(parting: Parting) -> str | None:
    pair = parting.pair(parting.ours, "keras") or parting.owned
    if not pair or "recurrent" not in (pair.keras.kind, pair.pytorch.kind):
        return None
    ours, theirs = pair.keras.config, pair.pytorch.config
    if ours.get("reset after") is False:
        return "gates: Keras applies the reset gate before the product (reset_after=False), PyTorch after it"
    for key in ("activation", "recurrent activation"):
        usual = {"activation": "tanh", "recurrent activation": "sigmoid"}[key]
        if ours.get(key, usual) != usual:
            return f"{key} of the recurrent cell: {ours[key]} in Keras, {usual} in PyTorch"
    if ours.get("backwards") != theirs.get("backwards") and theirs.get("backwards") is not None:
        return "direction of time"
    return "gates of the recurrent layer: their order, or how they are combined"


def _attention(parting: Parting) -> str | None:
    """Scale and mask, by what reaches the next softmax on both sides."""
    ours, theirs = (
        _next(trace, node, SOFTMAX)
        for trace, node in ((parting.found.keras, parting.ours), (parting.found.pytorch, parting.theirs))
    )
    if not ours or not theirs:
        return None
    shapes = [
        trace.nodes[place].shape for trace, place in ((parting.found.keras, ours), (parting.found.pytorch, theirs))
    ]
    heads = [shape.numel() // (shape[-1] * shape[-2]) for shape in map(torch.Size, shapes)]
    if heads[0] != heads[1]:
        samples = parting.found.keras.nodes[0].shape[0]
        return f"number of heads of attention: {heads[0] // samples} in Keras, {heads[1] // samples} in PyTorch"
    masks = [_masked(trace, place) for trace, place in ((parting.found.keras, ours), (parting.found.pytorch, theirs))]
    if masks[0] != masks[1]:
        which = "Keras" if masks[0] else "PyTorch"
        return f"mask of attention: only {which} masks"
    here, there = (
        trace.nodes[trace.nodes[place].parents[0]].moments
        for trace, place in ((parting.found.keras, ours), (parting.found.pytorch, theirs))
    )
    factor = there[1] / here[1] if here[1] else 1.0
    scaled = all(abs(there[i] - factor**k * here[i]) <= RATIO * abs(there[i]) for i, k in ((1, 1), (2, 2)))
    if scaled and abs(factor - 1) > RATIO:
        return f"scale of attention: PyTorch's scores are {factor:.4g} times those of Keras"
    return "mask of attention: the masks differ" if all(masks) else None


def _next(trace: Trace, node: Node | None, operations: Sequence[str]) -> int | None:
    if node is None:
        return None
    start = trace.nodes.index(node)
    # No further than the few operations of one attention.
    reach = [i for i in range(start, min(start + 40, len(trace.nodes))) if trace.nodes[i].operation in operations]
    return next((i for i in reach if trace.nodes[i].live), None)


def _masked(trace: Trace, softmax: int) -> bool:
    """Something hides scores from this softmax: an operation among the last few that it was computed from."""
    todo, seen = [(softmax, 0)], set()
    while todo:
        place, depth = todo.pop()
        if place in seen or depth > 5:
            continue
        seen.add(place)
        node = trace.nodes[place]
        if node.operation in MASKS:
            return True
        if node.operation in ("bmm", "mm") and node.live:
            continue
        todo += [(parent, depth + 1) for parent in node.parents]
    return False


def _order(parting: Parting) -> str | None:
    """The same operation on the same numbers gives another result: the numbers stand in another order."""
    ours, theirs = parting.ours, parting.theirs
    pair = parting.same_pair
    if pair and pair.keras.kind in ("kernel", "bare") and theirs:
        grid = any(True for _ in orders(pair, parting.found.keras))
        what = "order of a flatten" if grid else "order of the inputs (reshape or transpose)"
        return f"{what}: the same numbers reach the layer in another order"
    if theirs and ours.operation == theirs.operation and ours.constants != theirs.constants:
        return f"{ours.operation} with {ours.constants} in Keras, with {theirs.constants} in PyTorch"
    if theirs and ours.operation == theirs.operation and ours.operation in ("add", "mul", "cat", "bmm"):
        return "order of the elements (reshape or transpose)"
    return None


# The first that answers gives the cause.
RULES: tuple[Callable[[Parting], str | None], ...] = (
    *(_dropout, _bias, _convolution, _activation, _pool, _upsampling, _recurrent, _attention, _sum, _norm, _order),
)
