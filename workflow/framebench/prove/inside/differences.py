"""Settings that honest pairs differ in: each is told with both values, and set aside so that the rest can be proved.

The list is closed. A difference that is not on it makes two models different.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from keras import layers
from torch import nn

from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.matching import Pair
from framebench.prove.inside.pytorch_side import BATCH_NORMS, PyTorchSide
from framebench.prove.inside.trace import Trace

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
REGULARIZED = ("kernel", "bias", "activity", "embeddings", "recurrent", "gamma", "beta", "pointwise", "depthwise")


@dataclass(frozen=True)
class Difference:
    """A setting, the layer that has it on each side, and both values; `note` says what it means for a reader."""

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
    """Set PyTorch's norms to what the paired ones of Keras have, and make them keep the biased variance."""
    modules = {path: module for module, path in side.paths.items()}
    for pair in pairs:
        module = modules[pair.pytorch.layer]
        if {pair.keras.kind, pair.pytorch.kind} == {"norm"}:
            module.eps = pair.keras.config["epsilon"]
            if isinstance(module, BATCH_NORMS) and "momentum" in pair.keras.config:
                module.momentum = 1 - pair.keras.config["momentum"]


def running_variances(pairs: Iterable[Pair], side: PyTorchSide) -> Iterator[Difference]:
    """Batch norms keep another variance in each framework; PyTorch's is given that of Keras."""
    modules = {path: module for module, path in side.paths.items()}
    norms = [pair for pair in pairs if isinstance(modules[pair.pytorch.layer], BATCH_NORMS)]
    norms = [pair for pair in norms if pair.keras.kind == "norm" and "variance" in pair.pytorch.slots]
    for pair in norms:
        _biased(modules[pair.pytorch.layer])
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
            # By `data`, as the backward pass refuses statistics that moved after they were saved for it.
            module.running_var.data.copy_(old + (module.running_var - old) * (n - 1) / n)

    module.register_forward_pre_hook(keep)
    module.register_forward_hook(correct)


def second_biases(pairs: Iterable[Pair]) -> Iterator[Difference]:
    """Recurrent layers with a second bias on PyTorch's side only; it is kept at 0."""
    for pair in pairs:
        extra = [role for role in pair.pytorch.slots if role.startswith("recurrent bias") and role not in pair.keras.slots]
        trained = [pair.pytorch.slots[role].tensor for role in extra if pair.pytorch.slots[role].trained]
        if trained and any(role.startswith("bias") for role in pair.keras.slots):
            yield Difference(
                *("second bias", pair.keras.layer, pair.pytorch.layer, "one bias a gate", "two biases a gate"),
                "the same function and gradient; a step of SGD on their sum is twice as long",
            )
            for one in trained:
                one.requires_grad_(False)


def regularizers(side: KerasSide) -> Iterator[Difference]:
    for path, one in side.layers(layers.Layer):
        for name in REGULARIZED:
            if (regularizer := getattr(one, f"{name}_regularizer", None)) is not None:
                value = f"{name}: {_described(regularizer)}"
                yield Difference("regularizer", path, "", value, None, "added to the loss of Keras; left out of the proof")


def _described(regularizer: Any) -> str:
    numbers = {name: float(value) for name, value in vars(regularizer).items() if isinstance(value, int | float)}
    return f"{type(regularizer).__name__}({', '.join(f'{name}={value:g}' for name, value in numbers.items())})"


def gelus(side: PyTorchSide, ours: Trace, theirs: Trace) -> Iterator[Difference]:
    """GELUs of another approximation, in order of execution; PyTorch is given those of Keras."""
    here, there = ([node for node in trace.nodes if node.operation == "gelu"] for trace in (ours, theirs))
    if len(here) != len(there):
        return
    kinds = [[next((c for c in node.constants if isinstance(c, str)), "none") for node in nodes] for nodes in (here, there)]
    for one, other, kind, another in zip(here, there, *kinds, strict=True):
        if kind != another:
            yield Difference(*("approximation of GELU", one.owner, other.owner, kind, another), "1e-4 of the logits")
    side.gelus = kinds[0]


def dropout_rates(side: PyTorchSide, ours: Trace, theirs: Trace) -> Iterator[Difference]:
    """Dropouts of another rate, in order of execution, where both models have as many; PyTorch is given Keras's."""
    if len(ours.dropouts) != len(theirs.dropouts):
        return
    modules = {path: module for module, path in side.paths.items()}
    for one, other in zip(ours.dropouts, theirs.dropouts, strict=True):
        if abs(one.rate - other.rate) < 1e-9:
            continue
        module = modules[other.owner]
        if isinstance(module, DROPOUTS):
            module.p = one.rate
        elif hasattr(module, "dropout"):  # MultiheadAttention and the recurrent modules
            module.dropout = one.rate
        yield Difference("dropout rate", one.owner, other.owner, round(one.rate, 9), round(other.rate, 9), "training only")
