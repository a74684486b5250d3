"""Settings in which honest pairs may differ: each is reported with both values and set aside to prove the rest.

The list is closed. Any other difference makes two models different.
"""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import torch
from keras import layers

from framebench.prove.inside.draws import Call
from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.locate import layer_of
from framebench.prove.inside.pairs import Pair, arrays, shared_roles
from framebench.prove.inside.pytorch_side import BATCH_NORMS, PyTorchSide
from framebench.prove.inside.trace import SAME, Trace, scales

RESETS = 8  # of a module, to see how its default weights scatter
MOST_DROPOUTS = 100  # differences among them that are set aside, each in a pass of its own
REGULARIZED = ("kernel", "bias", "activity", "embeddings", "recurrent", "gamma", "beta", "pointwise", "depthwise")


@dataclass(frozen=True)
class Difference:
    """A setting, the layer that has it on each side, and both values; `note` explains it to a reader."""

    kind: str
    keras: str
    pytorch: str
    keras_value: Any
    pytorch_value: Any
    note: str


def norm_differences(pairs: Iterable[Pair]) -> Iterator[Difference]:
    """Epsilon and momentum of the norms that both sides have as layers."""
    for pair in pairs:
        ours, theirs = pair.keras.config, pair.pytorch.config
        place = (pair.keras.layer, pair.pytorch.layer)
        if {pair.keras.kind, pair.pytorch.kind} != {"norm"}:
            continue
        if ours["epsilon"] != theirs["epsilon"]:
            values = (ours["epsilon"], theirs["epsilon"])
            yield Difference("epsilon of a norm", *place, *values, "added to the variance before its root")
        if "momentum" in ours and "momentum" in theirs and not _near(ours["momentum"], theirs["momentum"]):
            values = (ours["momentum"], theirs["momentum"])
            yield Difference(
                *("momentum of a norm", *place, *values),
                "share of the old statistics that a step keeps, 1 − momentum in PyTorch's words; statistics only",
            )


def _near(one: float, other: float | None) -> bool:
    return other is not None and abs(one - other) < 1e-9


def give_norms(pairs: Iterable[Pair], side: PyTorchSide) -> None:
    """Set PyTorch's norms to the values of the paired norms of Keras, and make them keep the biased variance."""
    for pair in pairs:
        module = side.at(pair.pytorch.layer)
        if {pair.keras.kind, pair.pytorch.kind} == {"norm"}:
            module.eps = pair.keras.config["epsilon"]
            if isinstance(module, BATCH_NORMS) and "momentum" in pair.keras.config:
                module.momentum = 1 - pair.keras.config["momentum"]


def running_variances(pairs: Iterable[Pair], side: PyTorchSide) -> Iterator[Difference]:
    """Batch norms keep another variance in each framework; PyTorch's uses that of Keras."""
    norms = [pair for pair in pairs if isinstance(side.at(pair.pytorch.layer), BATCH_NORMS)]
    norms = [pair for pair in norms if pair.keras.kind == "norm" and "variance" in pair.pytorch.slots]
    for pair in norms:
        _biased(side.at(pair.pytorch.layer))
    if norms:
        count = f"{len(norms)} batch norms" if len(norms) > 1 else "1 batch norm"
        yield Difference(
            *("running variance", norms[0].keras.layer, norms[0].pytorch.layer, "sum / n", "sum / (n − 1)"),
            f"variance of the n values of a batch that the statistics keep, biased in Keras; {count}, statistics only",
        )


def _biased(module: Any) -> None:
    before: list[torch.Tensor] = []

    def keep(module: Any, inputs: Any) -> None:
        before[:] = [module.running_var.detach().clone()]

    def correct(module: Any, inputs: Any, output: Any) -> None:
        if module.training:
            n = inputs[0].numel() / inputs[0].shape[1]
            old = (1 - module.momentum) * before[0]
            # By `data`, since the backward pass refuses statistics that changed after they were saved for it.
            module.running_var.data.copy_(old + (module.running_var - old) * (n - 1) / n)

    module.register_forward_pre_hook(keep)
    module.register_forward_hook(correct)


def second_biases(pairs: Iterable[Pair]) -> Iterator[Difference]:
    """Recurrent layers with a second bias on PyTorch's side only; it is kept at 0."""
    for pair in pairs:
        extra = [
            role for role in pair.pytorch.slots if role.startswith("recurrent bias") and role not in pair.keras.slots
        ]
        trained = [pair.pytorch.slots[role].tensor for role in extra if pair.pytorch.slots[role].trained]
        if trained and any(role.startswith("bias") for role in pair.keras.slots):
            yield Difference(
                *("second bias", pair.keras.layer, pair.pytorch.layer, "one bias a gate", "two biases a gate"),
                "the same function and gradient; a step of SGD on their sum is twice as long",
            )
            for one in trained:
                one.requires_grad_(False)


def regularizers(side: KerasSide, pairs: Iterable[Pair]) -> Iterator[Difference]:
    partners = {pair.keras.layer: pair.pytorch.layer for pair in pairs}
    for path, one in side.layers(layers.Layer):
        for name in REGULARIZED:
            if (regularizer := getattr(one, f"{name}_regularizer", None)) is not None:
                value = f"{name}: {_described(regularizer)}"
                note = "added to the loss of Keras; left out of the proof"
                yield Difference("regularizer", path, partners.get(path, ""), value, None, note)


def _described(regularizer: Any) -> str:
    numbers = {name: float(value) for name, value in vars(regularizer).items() if isinstance(value, int | float)}
    return f"{type(regularizer).__name__}({', '.join(f'{name}={value:g}' for name, value in numbers.items())})"


def gelus(side: PyTorchSide, ours: Trace, theirs: Trace) -> Iterator[Difference]:
    """GELUs of another approximation, in order of execution; PyTorch uses those of Keras."""
    here, there = ([node for node in trace.nodes if node.operation == "gelu"] for trace in (ours, theirs))
    if len(here) != len(there):
        return
    kinds = [
        [next((c for c in node.constants if isinstance(c, str)), "none") for node in nodes] for nodes in (here, there)
    ]
    for one, other, kind, another in zip(here, there, *kinds, strict=True):
        if kind != another:
            names = (layer_of(ours, ours.nodes.index(one)), layer_of(theirs, theirs.nodes.index(other)))
            yield Difference("approximation of GELU", *names, kind, another, "1e-4 of the logits")
    side.gelus = kinds[0]


def dropouts(ours: KerasSide, theirs: PyTorchSide, inputs: tuple[torch.Tensor, torch.Tensor]) -> Iterator[Difference]:
    """Dropouts of another rate, or that only one side has; both get the rate of Keras, or none.

    If one side has more of them, those without a counterpart on the same tensor are left out. A dropout changes
    everything after it, so they are left out one at a time.
    """
    for _ in range(MOST_DROPOUTS):
        here = [call for call in ours.trace(inputs[0], training=True).dropouts if call.rate]
        there = [call for call in theirs.trace(inputs[1], training=True).dropouts if call.rate]
        if len(here) == len(there):
            for one, other in zip(here, there, strict=True):
                if abs(one.rate - other.rate) > 1e-9:
                    theirs.rates[other.place] = one.rate
                    yield _rate(one, other)
            return
        if len(here) > len(there):
            alone = _alone(here, there)
            ours.rates[alone.place] = 0.0
            yield _rate(alone, None)
        else:
            alone = _alone(there, here)
            theirs.rates[alone.place] = 0.0
            yield _rate(None, alone)


def _alone(calls: list[Call], others: list[Call]) -> Call:
    """The first dropout on a tensor from which none of the others drops."""
    return next((call for call in calls if not any(_same(call, other) for other in others)), calls[-1])


def _same(one: Call, other: Call) -> bool:
    return one.units == other.units and bool(
        (np.abs(np.subtract(one.moments, other.moments)) <= SAME * scales(np.array(one.moments))).all()
    )


def _rate(one: Call | None, other: Call | None) -> Difference:
    owners = [call.owner if call else "" for call in (one, other)]
    rates = [round(call.rate, 9) if call else None for call in (one, other)]
    return Difference("dropout rate", owners[0], owners[1], rates[0], rates[1], "training only")


def epsilon_of_adam(asked: Any) -> Iterator[Difference]:
    """Another epsilon of Adam for each framework, if problem.yaml asks for it."""
    if isinstance(asked, dict) and asked["keras"] != asked["pytorch"]:
        yield Difference(
            "epsilon of Adam", "", "", asked["keras"], asked["pytorch"], "of the optimizer, both given Keras's"
        )


@dataclass(frozen=True)
class Initial:
    """Distribution of the initial values of an array; `own` if its layer has others by default."""

    mean: float
    deviation: float
    count: int
    own: bool

    def like(self, other: "Initial") -> bool:
        """Means and deviations agree to a fifth, beyond what samples of this size scatter (4 standard errors)."""
        size = max(self.deviation, other.deviation)
        if not size:
            return abs(self.mean - other.mean) < 1e-9
        allowed = size * (0.2 + 4 / self.count**0.5)
        return abs(self.deviation - other.deviation) <= allowed and abs(self.mean - other.mean) <= allowed

    def __str__(self) -> str:
        return f"{self.mean:.3g} ± {self.deviation:.3g}"


def initial_weights(pairs: Iterable[Pair], ours: KerasSide, theirs: PyTorchSide) -> Iterator[Difference]:
    """Initial weights of a user's own that the other side lacks; called while both are as they were built.

    The defaults of the frameworks differ too, but the user did not choose them.
    """
    for pair in pairs:
        for role in shared_roles(pair):
            here, there = arrays(pair, role)
            one = _initial(here, _keras_own(ours.at(pair.keras.layer), role))
            own = _torch_own(theirs.at(pair.pytorch.layer), pair, role, theirs.dtype)
            other = _initial(there, own)
            if (one.own or other.own) and not one.like(other):
                note = f"of the {role}, as built; both models are given the same"
                yield Difference("initial weights", pair.keras.layer, pair.pytorch.layer, str(one), str(other), note)


def _initial(array: torch.Tensor, own: bool) -> Initial:
    return Initial(float(array.mean()), float(array.std(correction=0)), array.numel(), own)


def _keras_own(layer: Any, role: str) -> bool:
    if type(layer).__module__.split(".")[0] != "keras":
        return True
    layer = getattr(layer, "cell", layer)
    name = {"mean": "moving_mean", "variance": "moving_variance", "recurrent kernel": "recurrent"}
    base = role[:-2] if role[-2:-1] == " " else role  # without the gate
    attribute = f"{name.get(base, base)}_initializer"
    default = inspect.signature(type(layer).__init__).parameters.get(attribute)
    if default is None or getattr(layer, attribute, None) is None:
        return False
    initializer, usual = getattr(layer, attribute), keras.initializers.get(default.default)
    return type(initializer) is not type(usual) or _numbers(initializer) != _numbers(usual)


def _numbers(initializer: Any) -> dict[str, Any]:
    return {name: value for name, value in initializer.get_config().items() if name != "seed"}


def _torch_own(module: Any, pair: Pair, role: str, dtype: torch.dtype) -> bool:
    """True if the module's weights are not what its reset_parameters() would draw again."""
    if not type(module).__module__.startswith("torch.nn"):
        return True
    reset = getattr(module, "reset_parameters", getattr(module, "_reset_parameters", None))
    if reset is None or pair.pytorch.kind == "norm":
        return pair.pytorch.kind == "norm"
    before = [one.detach().clone() for one in module.parameters(recurse=False)]
    now, again = _initial(arrays(pair, role)[1], True), []
    with torch.no_grad():
        for _ in range(RESETS):
            reset()
            again.append(_initial(arrays(pair, role)[1], True))
        for one, value in zip(module.parameters(recurse=False), before, strict=True):
            one.copy_(value)
    means, deviations = ([getattr(one, name) for one in again] for name in ("mean", "deviation"))
    return _outside(now.mean, means, now.deviation) or _outside(now.deviation, deviations, now.deviation)


def _outside(value: float, usual: list[float], size: float) -> bool:
    """Further from the mean of usual values than a fifth of `size` and chance explain (5 standard deviations)."""
    center = float(np.mean(usual))
    return abs(value - center) > 0.2 * max(size, abs(center)) + 5 * float(np.std(usual)) + 1e-12
