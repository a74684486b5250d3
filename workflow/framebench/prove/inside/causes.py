"""The likely cause of a first difference, in words: rules on the operations of both models where they part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from framebench.prove.inside.draws import RANDOM
from framebench.prove.inside.orders import orders
from framebench.prove.inside.pairs import Match, Pair
from framebench.prove.inside.trace import SAME, VIEWS, Known, Node, Trace, within
from framebench.prove.inside.units import Unit

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
# Operations on one tensor that a user may have put in place of an activation, or before it.
ONE_BY_ONE = ("abs", "neg", "mul", "add", "sub", "div", "true_divide", "pow", "square", "sqrt", "rsqrt", "log", "sin")
# Operations whose numeric arguments mean the same in every layout.
PLAIN_NUMBERS = ("mul", "div", "true_divide", "add", "sub", "pow", "clamp", "select")
IN_WORDS = {
    **{"mul": "multiplication", "div": "division", "true_divide": "division", "add": "addition", "sub": "subtraction"},
    **{"neg": "change of sign", "abs": "absolute value", "rsqrt": "reciprocal root", "bmm": "matrix product"},
    **{"cat": "concatenation", "select": "one position", "to_copy": "cast to another type", "flip": "reversal"},
    **{"pow": "power", "amax": "maximum", "mm": "matrix product", "native_layer_norm": "layer norm"},
}
WHOLE_AXES = ("mean", "amax", "max")
STATISTICS = ("mean", "variance")
# Random operations besides those of dropout, which draw in place.
NOISE = (*(name for name in RANDOM if name != "bernoulli_"), "randint", "poisson", "multinomial")
MASKS = ("masked_fill", "masked_fill_", "where", "tril", "triu", "logical_and", "logical_not")
SOFTMAX = ("_softmax", "_safe_softmax")
# Relative agreement of the moments of scores that only a factor distinguishes.
RATIO = 1e-6
ANOTHER_INPUT = (
    "another input: both models compute these tensors, and each takes another one here (branch, shortcut, gate or step)"
)
# Results this close, relative, come from the same function with another small constant.
NEARLY = 1e-3


@dataclass(frozen=True)
class Parting:
    """The first operation on each side whose result the other lacks, and the pair of its layer."""

    ours: Node
    theirs: Node | None
    found: Match

    def pair(self, node: Node | None, side: str) -> Pair | None:
        """The pair whose weights an operation takes."""
        if node is None:
            return None
        return next((one for one in self.found.pairs if node.uses & getattr(one, side).weights), None)

    @property
    def traces(self) -> tuple[Trace, Trace]:
        return self.found.keras, self.found.pytorch

    @property
    def owned(self) -> Pair | None:
        """The pair of the Keras layer in which the first difference is."""
        pairs = [one for one in self.found.pairs if one.keras.layer and within(self.ours.owner, one.keras.layer)]
        return pairs[-1] if pairs else None

    @property
    def same_pair(self) -> Pair | None:
        one, other = self.pair(self.ours, "keras"), self.pair(self.theirs, "pytorch")
        return one if one and one is other else None


def made(unit: Unit) -> str | None:
    return f"weights that PyTorch computes from others: {unit.config['made']}" if "made" in unit.config else None


def _computed(parting: Parting) -> str | None:
    """A layer of PyTorch whose weight is computed from others."""
    pair = parting.pair(parting.ours, "keras")
    return made(pair.pytorch) if pair else None


def runs(trace: Trace, unit: Unit) -> int:
    """The operations that take the main weight of a unit."""
    return sum(id(unit.main.tensor) in node.uses and node.operation not in VIEWS for node in trace.nodes)


def at_every_step(pair: Pair) -> bool:
    """A layer that runs at every step of a series, or a part of one."""
    return "cell" in pair.keras.config or "cell" in pair.pytorch.config


def _times(parting: Parting) -> str | None:
    """A layer that runs more often in one model."""
    pair = parting.same_pair or parting.pair(parting.ours, "keras")
    if not pair or pair.keras.kind != "kernel" or at_every_step(pair):
        return None
    counts = runs(parting.found.keras, pair.keras), runs(parting.found.pytorch, pair.pytorch)
    words = f"number of runs of the layer: {counts[0]} in Keras, {counts[1]} in PyTorch"
    return words if counts[0] != counts[1] else None


def _dropout(parting: Parting) -> str | None:
    """A dropout that only one side has, or has in another place."""
    ours = [call for call in parting.found.keras.dropouts if call.owner == parting.ours.owner]
    theirs = [call for call in parting.found.pytorch.dropouts if parting.theirs and call.owner == parting.theirs.owner]
    if not ours and not theirs:
        return None
    rates = [f"rate {calls[0].rate:g}" if calls else "none" for calls in (ours, theirs)]
    if rates[0] == rates[1]:
        units = [calls[0].units for calls in (ours, theirs)]
        if units[0] == units[1]:
            return f"kind or place of the dropout: of {rates[0]} in both"
        whole = "Keras" if units[0] < units[1] else "PyTorch"
        return f"kind of the dropout: only {whole} drops whole channels"
    return f"dropout: {rates[0]} in Keras, {rates[1]} in PyTorch"


def _bias(parting: Parting) -> str | None:
    pairs = filter(None, [parting.pair(parting.ours, "keras"), parting.pair(parting.theirs, "pytorch")])
    return next(filter(None, map(lone_role, pairs)), None)


def lone_role(pair: Pair, trained: bool = False) -> str | None:
    """A bias, a scale or statistics that only one of two matched layers has, or has `trained`, in words."""
    trained = trained or at_every_step(pair)  # the second bias of a recurrent layer, kept at 0, does not count
    ours, theirs = (
        {role.partition(" ")[0] for role, one in unit.slots.items() if one.trained or role in STATISTICS or not trained}
        for unit in (pair.keras, pair.pytorch)
    )
    words = {"bias": "bias", "beta": "bias (beta) of the norm", "gamma": "scale (gamma) of the norm"}
    for role, word in (words | {"mean": "running statistics of the norm"}).items():
        # A bare weight has its user's name.
        if pair.keras.kind == pair.pytorch.kind != "bare" and (role in ours) != (role in theirs):
            if pair.keras.config.get("norm") != pair.pytorch.config.get("norm"):
                return f"kind of norm: {pair.keras.config['norm']} in Keras, {pair.pytorch.config['norm']} in PyTorch"
            has, lacks = ("Keras", "PyTorch") if role in ours else ("PyTorch", "Keras")
            return f"{word}: {has} has one, {lacks} has none" if role in words else f"{word}: only {has} has them"
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
    strided = " of a strided convolution" if max(ours["stride"]) > 1 else " of the convolution"
    if theirs.get("filled with", "zeros") != "zeros":
        return f"padding{strided}: zeros in Keras, {theirs['filled with']} in PyTorch (padding_mode)"
    if ours["padding"] == "same":
        here = _same_padding(shape[1:-1], ours)
        told = f"'same' ({', '.join(dict.fromkeys(f'{before} before and {after} after' for before, after in here))})"
    else:
        here, told = [(0, 0)] * len(ours["stride"]), ours["padding"]
    if isinstance(theirs["padding"], str):
        there = _same_padding(shape[1:-1], theirs) if theirs["padding"] == "same" else [(0, 0)] * len(here)
    else:
        more = theirs.get("output padding", (0,) * len(theirs["padding"]))
        there = [(n, n - extra) for n, extra in zip(theirs["padding"], more, strict=True)]
    if here == there:  # the weights or the inputs differ
        return None
    return f"padding{strided}: {told} in Keras, {theirs['padding']} on each side in PyTorch"


def _same_padding(sizes: Sequence[int], config: Any) -> list[tuple[int, int]]:
    """Zeros that padding='same' adds before and after along each axis, or the part that it cuts off a transposed
    one."""
    pads = []
    if config.get("transposed"):
        for k, s, d in zip(config["kernel size"], config["stride"], config["dilation"], strict=True):
            total = max((k - 1) * d + 1 - s, 0)
            pads.append((total // 2, total - total // 2))
        return pads
    for n, k, s, d in zip(sizes, config["kernel size"], config["stride"], config["dilation"], strict=False):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def _activation(parting: Parting) -> str | None:
    nodes = parting.ours, parting.theirs
    ours, theirs = (node and ACTIVATIONS.get(node.operation) for node in nodes)
    if not ours and not theirs:
        return None
    if any(node and node.operation in SOFTMAX for node in nodes):
        return None
    if ours == theirs and parting.theirs:
        mine, others = _numbers(parting.ours), _numbers(parting.theirs)
        if mine == others:
            return None
        return f"activation: {ours} with {mine or 'its default'} in Keras, with {others or 'its default'} in PyTorch"
    words = [_acting(node, trace) for node, trace in zip(nodes, parting.traces, strict=True)]
    return f"activation: {words[0]} in Keras, {words[1]} in PyTorch"


def _acting(node: Node | None, trace: Trace) -> str:
    """An activation in words, or the operation on one tensor in its place."""
    if node is None:
        return "none"
    name, numbers = ACTIVATIONS.get(node.operation), _numbers(node)
    if name == "relu6" and numbers and numbers != (0, 6):
        return f"cut to {' … '.join(f'{one:g}' for one in numbers)}"
    single = node.operation in ONE_BY_ONE and len({parent for parent in node.parents if trace.nodes[parent].live}) == 1
    if name == "relu6" and not numbers and "clamp" in node.operation:
        return "cut off (clamp)"
    return name or (in_words(node) if single and not node.uses else "none")


def _numbers(node: Node) -> tuple[float, ...]:
    return tuple(one for one in node.constants if isinstance(one, int | float) and not isinstance(one, bool))


def in_words(node: Node) -> str:
    """An operation with its numeric arguments."""
    name = node.operation.strip("_")
    if "pad" in name:
        return f"padding ({name.replace('_', ' ')})"
    word = IN_WORDS.get(name, ACTIVATIONS.get(node.operation, name.replace("_", " ")))
    numbers = ", ".join(f"{one:.8g}" for one in _numbers(node))
    return f"{word} ({numbers})" if numbers else word


def _upsampling(parting: Parting) -> str | None:
    names = [node.operation if node else "" for node in (parting.ours, parting.theirs)]
    if not any("upsample" in name for name in names):
        return None
    words = [name.removeprefix("upsample_") if "upsample" in name else "another" for name in names]
    if words[0] == words[1] and parting.theirs:
        words = [f"{words[0]} with {node.constants}" for node in (parting.ours, parting.theirs)]
    return f"interpolation of the upsampling: {words[0]} in Keras, {words[1]} in PyTorch"


def _norm(parting: Parting) -> str | None:
    """A norm in another place, or with another way of normalising."""
    one, other = parting.pair(parting.ours, "keras"), parting.pair(parting.theirs, "pytorch")
    one = one or parting.owned
    if one and other is one and one.keras.kind == "norm":
        if parting.found.training:
            return (
                "statistics of the norm: in training, one side normalises with those of the batch, the other does not"
            )
        kinds = [unit.config.get("norm") for unit in (one.keras, one.pytorch)]
        if kinds[0] != kinds[1]:
            return f"kind of norm: {kinds[0]} in Keras, {kinds[1]} in PyTorch"
        return "axes or groups of the norm"
    if "norm" in (one and one.keras.kind, other and other.pytorch.kind):
        which = "Keras" if one and one.keras.kind == "norm" else "PyTorch"
        return f"place of a norm: {which} normalises here, the other side elsewhere"
    return None


def _sum(parting: Parting) -> str | None:
    """A sum of two tensors that only one side has, for example of a shortcut."""
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
    """The kind of a pooling, even if its padding is an operation of its own."""
    place = trace.nodes.index(node)
    reached, following = {place}, [node]
    ahead = 6 if "pad" in node.operation else 0
    for i in range(place + 1, min(place + ahead, len(trace.nodes))):
        if reached & set(trace.nodes[i].parents):
            following.append(trace.nodes[i])
            if trace.nodes[i].operation in VIEWS:
                reached.add(i)
    return next((POOLS[one.operation] for one in following if one.operation in POOLS), None)


def _pool(parting: Parting) -> str | None:
    ours = _pooling(parting.found.keras, parting.ours)
    theirs = parting.theirs and _pooling(parting.found.pytorch, parting.theirs)
    if ours and theirs and ours != theirs:
        return f"pooling: {ours} in Keras, {theirs} in PyTorch"
    if ours and theirs and all(node and node.operation in WHOLE_AXES for node in (parting.ours, parting.theirs)):
        return f"axes of the pooling: the {ours} is over another axis"
    if ours and theirs:
        return "padding, size or stride of the pooling"
    return None


def _cell(parting: Parting) -> str | None:
    """The settings of a recurrent layer."""
    pair = parting.pair(parting.ours, "keras") or parting.owned
    if not pair or not at_every_step(pair):
        return None
    ours, theirs = pair.keras.config, pair.pytorch.config
    within_layer = [one for one in parting.found.keras.nodes if within(one.owner, pair.keras.layer)]
    if pair.keras.kind == "recurrent" and any(one.operation == "where" for one in within_layer):
        return "mask of the steps: only Keras skips those of padding (mask_zero, Masking)"
    if ours.get("reset after") is False:
        return "gates: Keras applies the reset gate before the product (reset_after=False), PyTorch after it"
    for key in ("activation", "recurrent activation"):
        usual = {"activation": "tanh", "recurrent activation": "sigmoid"}[key]
        values = ours.get(key, usual), theirs.get(key, usual)
        if values[0] != values[1]:
            return f"{key} of the recurrent cell: {values[0]} in Keras, {values[1]} in PyTorch"
    turned = [
        bool(unit.config.get("backwards")) != _turned(trace, unit.layer)
        for trace, unit in zip(parting.traces, (pair.keras, pair.pytorch), strict=True)
    ]
    if turned[0] != turned[1] and all("backwards" in unit.config for unit in (pair.keras, pair.pytorch)):
        return f"direction of time: only {'Keras' if turned[0] else 'PyTorch'} reads the series backwards"
    return None


def _turned(trace: Trace, layer: str) -> bool:
    """The series is reversed before it reaches a layer."""
    todo = trace.inputs_of(layer)
    while todo:
        node = trace.nodes[todo.pop()]
        if node.operation == "flip":
            return True
        if node.operation in VIEWS:
            todo += node.parents
    return False


def _batch_axis(parting: Parting) -> str | None:
    """PyTorch's recurrent layers and attention take the batch as the second axis by default."""
    for pair in filter(None, [parting.pair(parting.ours, "keras"), parting.owned]):
        inside = parting.found.pytorch.inputs_of(pair.pytorch.layer)
        if pair.pytorch.config.get("batch first") is False and inside:
            shape, samples = parting.found.pytorch.nodes[inside[0]].shape, parting.found.keras.nodes[0].shape[0]
            if len(shape) == 3 and shape[0] == samples != shape[1]:
                return "axes: PyTorch takes the batch for the steps of the series (batch_first=False)"
    return None


def _gates(parting: Parting) -> str | None:
    pairs = [parting.pair(parting.ours, "keras"), parting.owned, parting.pair(parting.theirs, "pytorch")]
    sources = _sources(parting)
    for pair in pairs:
        # The layer's inputs from outside do not come from its gates.
        if pair and at_every_step(pair) and (not sources or within(sources[0].owner, pair.keras.layer)):
            return "gates of the recurrent layer: their order, or how they are combined"
    return None


def _attention(parting: Parting) -> str | None:
    """Scale and mask, from the inputs of the next softmax on both sides."""
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


def _heads(parting: Parting) -> str | None:
    """Queries and keys that are cut into heads in another order."""
    trace, layer = parting.found.keras, parting.ours.owner
    softmax = _next(trace, parting.ours, SOFTMAX)
    same_layer = softmax is not None and layer and within(trace.nodes[softmax].owner, layer)
    if not same_layer or _next(parting.found.pytorch, parting.theirs, SOFTMAX) is None or parting.ours.uses:
        return None
    return "order of what reaches the heads of attention (reshape or transpose)"


def _softmax(parting: Parting) -> str | None:
    """A softmax of the same scores over another axis."""
    ours, theirs = parting.ours, parting.theirs
    for one, mine, other in ((ours, *parting.traces), (theirs, *parting.traces[::-1])):
        if one is None or one.operation not in SOFTMAX:
            continue
        scores = mine.nodes[one.parents[0]].moments
        for there in other.nodes:
            softmax = there.operation in SOFTMAX and there.live
            if softmax and _near(scores, other.nodes[there.parents[0]].moments, SAME):
                return "axis of the softmax: the same scores, over another axis"
    return None


def _next(trace: Trace, node: Node | None, operations: Sequence[str]) -> int | None:
    if node is None:
        return None
    start = trace.nodes.index(node)
    # No further than the few operations of one attention.
    reach = [i for i in range(start, min(start + 40, len(trace.nodes))) if trace.nodes[i].operation in operations]
    return next((i for i in reach if trace.nodes[i].live), None)


def _masked(trace: Trace, softmax: int) -> bool:
    """True if scores are masked before this softmax: by an operation among the last few that lead to it."""
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


def _near(one: Sequence[float], other: Sequence[float], bound: float) -> bool:
    """Moments that agree to a relative bound."""
    return abs(one[1] - other[1]) <= bound * abs(one[1]) and abs(one[2] - other[2]) <= bound * abs(one[2])


def _live(trace: Trace, node: Node) -> list[Node]:
    return [trace.nodes[parent] for parent in node.parents if trace.nodes[parent].live]


def _sources(parting: Parting) -> tuple[Node, Node] | None:
    """Tensors that both models compute; where the models part, each takes a different one."""
    if parting.theirs is None:
        return None
    here, there = (
        _live(trace, node) for trace, node in zip(parting.traces, (parting.ours, parting.theirs), strict=True)
    )
    ours = [one for one in here if not any(_near(one.moments, other.moments, SAME) for other in there)]
    theirs = [one for one in there if not any(_near(one.moments, other.moments, SAME) for other in here)]
    known = [Known(trace) for trace in parting.traces]
    both = all(known[1].find(one.moments) for one in ours) and all(known[0].find(one.moments) for one in theirs)
    if here and there and (ours or theirs) and both:
        return (ours or here)[0], (theirs or there)[0]
    return None


def _source(parting: Parting) -> str | None:
    """The same operation, on another tensor that both models have."""
    if not parting.same_pair and (parting.theirs is None or parting.ours.operation != parting.theirs.operation):
        return None
    sources = _sources(parting)
    if not sources:
        return None
    chosen = [_chosen(trace, node) for trace, node in zip(parting.traces, sources, strict=True)]
    if None not in chosen and chosen[0] != chosen[1]:
        return f"position (step or token) that is taken: {chosen[0]} in Keras, {chosen[1]} in PyTorch"
    return ANOTHER_INPUT


def _position(parting: Parting) -> str | None:
    """One step or token that only one side takes here."""
    nodes = parting.ours, parting.theirs
    taken = [_numbers(node)[-1] if node and node.operation == "select" else None for node in nodes]
    if (taken[0] is None) == (taken[1] is None):
        return None
    one, other = ("Keras", "PyTorch") if taken[0] is not None else ("PyTorch", "Keras")
    place = taken[0] if taken[0] is not None else taken[1]
    return f"position (step or token): {one} takes {place} here, {other} another one, or all"


def _chosen(trace: Trace, node: Node) -> float | None:
    """The position in a series that a view selected."""
    while node.operation in VIEWS and node.parents:
        if node.operation == "select":
            return _numbers(node)[-1]
        node = trace.nodes[node.parents[0]]
    return None


def _noise(parting: Parting) -> str | None:
    """Random numbers, other than dropout's, that only one model adds or multiplies."""
    noisy = [
        bool(node and (node.operation in NOISE or any(_random(trace, parent) for parent in node.parents)))
        for node, trace in zip((parting.ours, parting.theirs), parting.traces, strict=True)
    ]
    if parting.found.training and not any(noisy):
        # A flipped or moved image has the same numbers; only the next layer shows the difference.
        noisy = [any(node.operation in NOISE for node in trace.nodes) for trace in parting.traces]
    if noisy[0] == noisy[1]:
        return None
    return f"random numbers (noise or augmentation): only {'Keras' if noisy[0] else 'PyTorch'} draws them here"


def _random(trace: Trace, place: int) -> bool:
    todo, seen = [place], set()
    while todo:
        node = trace.nodes[todo.pop()]
        if node.operation in NOISE:
            return True
        if not node.live and id(node) not in seen:
            seen.add(id(node))
            todo += node.parents
    return False


def _order(parting: Parting) -> str | None:
    """The same operation on the same numbers gives another result, so the numbers are in another order."""
    ours, theirs = parting.ours, parting.theirs
    pair = parting.same_pair
    if pair and pair.keras.kind in ("kernel", "bare") and theirs:
        here, there = (_live(trace, node) for trace, node in zip(parting.traces, (ours, theirs), strict=True))
        if here and there and not _near(here[0].moments, there[0].moments, SAME):
            return None
        grid = pair.keras.main.tensor.ndim == 2 and any(True for _ in orders(pair, parting.found.keras))
        what = "order of a flatten" if grid else "order of the inputs (concatenation, reshape or transpose)"
        return f"{what}: the same numbers reach the layer in another order"
    if theirs and ours.operation == theirs.operation:
        mine, others = _numbers(ours), _numbers(theirs)
        if mine != others and ours.operation == "select":
            return f"position (step or token) that is taken: {mine[-1]} in Keras, {others[-1]} in PyTorch"
        if mine != others and ours.operation in PLAIN_NUMBERS:
            return f"{in_words(ours)} in Keras, {in_words(theirs)} in PyTorch"
        if ours.operation in ("add", "mul", "cat", "bmm"):
            softmax = any(
                one.operation in SOFTMAX
                for trace, node in zip(parting.traces, (ours, theirs), strict=True)
                for one in _behind(trace, node)
            )
            return f"order of the elements ({'axis of the softmax, ' if softmax else ''}reshape or transpose)"
    return None


def _behind(trace: Trace, node: Node) -> list[Node]:
    """The operations behind the inputs of a node, skipping views."""
    found, todo = [], list(node.parents)
    while todo:
        one = trace.nodes[todo.pop()]
        if one.operation in VIEWS:
            todo += one.parents
        else:
            found.append(one)
    return found


def _operation(parting: Parting) -> str | None:
    """An operation that only one model has, or another in its place."""
    ours, theirs = parting.ours, parting.theirs
    if theirs and _near(ours.moments, theirs.moments, NEARLY):
        return "a constant, as an epsilon: what the layers give is nearly the same"
    # A layer with weights got another input: the different operation comes before it on the other side.
    alone = [node if node and not node.uses and node.operation not in VIEWS else None for node in (ours, theirs)]
    if any(node and node.operation in ("cat", "stack") for node in alone):
        return ANOTHER_INPUT
    words = [in_words(node) if node else "" for node in alone]
    if all(words):
        return f"operation: {words[0]} in Keras, {words[1]} in PyTorch" if words[0] != words[1] else None
    if any(words):
        return f"operation that only {'Keras' if words[0] else 'PyTorch'} has: {words[0] or words[1]}"
    return None


# The first rule with an answer gives the cause.
RULES: tuple[Callable[[Parting], str | None], ...] = (
    *(_dropout, _noise, _computed, _bias, _convolution, _batch_axis, _cell, _activation, _pool, _upsampling, _softmax),
    *(_attention, _heads, _gates, _sum, _position, _norm, _times, _source, _order, _operation),
)
