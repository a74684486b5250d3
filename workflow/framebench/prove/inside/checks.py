"""Every comparison of two matched models, each with the bound that rounding explains."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite, sqrt

import torch
from torch.utils.flop_counter import FlopCounterMode

from framebench.prove.inside import pairs as paired_layers
from framebench.prove.inside.draws import shared
from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.pairs import Match, Pair, arrays, shared_roles
from framebench.prove.inside.pytorch_side import PyTorchSide
from framebench.prove.inside.side import Side, kept
from framebench.prove.inside.training import (
    Arrays,
    Batch,
    Displaced,
    KerasTraining,
    Problem,
    PyTorchTraining,
    distance,
    trajectory,
)

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24}
# The displacement of one draw is no upper limit: the largest of many is a few times as large.
MARGIN = 8
# Smallest bound in units roundoff, for displacements that happen to cancel.
LEAST_UNITS = 64
# Above this bound rounding alone decides: the gradient of a bias before a norm, or of a key's, is zero in theory.
DECIDED_BY_ROUNDING = 1e-3
OUTPUTS = ("evaluation logits", "evaluation loss", "training logits")
MOVED = 0.01  # the negative control moves one weight by this
# A binomial count is further from its mean than this many standard deviations once in 10⁹ times.
DEVIATIONS = 6
STATISTICS = ("mean", "variance")


@dataclass(frozen=True)
class Check:
    """One comparison: `difference` may be at most `bound`, or must exceed it in a negative control."""

    quantity: str
    layer: str
    precision: str
    difference: float | None  # None: not finite
    bound: float
    passed: bool
    where: str = ""


@dataclass(frozen=True)
class Made:
    """All checks in order, and the FLOPs of a forward pass for one sample, by the same counter for both."""

    checks: list[Check]
    flops: dict[str, int]


def made(
    ours: KerasSide,
    theirs: PyTorchSide,
    found: Match,
    problem: Problem,
    *,
    batches: Sequence[Batch],
    in_float32: Callable[[], KerasSide],
) -> Made:
    """Every check of a matched pair; `in_float32` builds the Keras model again, and `ours` is then no longer usable."""
    sides = [partial(_read, found.pairs, i) for i in range(2)]
    rounding = Displaced(UNIT["float64"], growing=True, seed=0)
    masks: list[torch.Tensor] = []
    with kept(ours, theirs):
        exact = trajectory(KerasTraining(ours, problem), batches, sides[0])
        seen = trajectory(PyTorchTraining(theirs, problem), batches, sides[1], masks=masks)
    with kept(theirs):
        displaced = trajectory(PyTorchTraining(theirs, problem), batches, sides[1], rounding, masks)
    checks = [compared(name, seen[name], exact[name], displaced[name]) for name in ordered(exact)]
    logits_bound = next(one.bound for one in checks if one.quantity == "evaluation logits")
    with kept(ours, theirs):
        checks += controls(theirs, found, batches[0], exact["evaluation logits"], logits_bound)
    with kept(ours, theirs):
        checks += [*dropout_shares(ours, batches[0].inputs[0]), *dropout_shares(theirs, batches[0].inputs[1])]
    flops = {"keras": flops_of(ours, batches[0].inputs[0]), "pytorch": flops_of(theirs, batches[0].inputs[1])}
    checks += single_precision(ours, theirs, problem, batches[0], in_float32)
    return Made(checks, flops)


def _read(pairs: Sequence[Pair], side: int, of: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The arrays of one side, 0 for Keras, under Keras's names."""
    seen: dict[str, int] = {}
    for pair in pairs:
        for role in shared_roles(pair):
            if of == "grad" and role in STATISTICS:
                continue
            name = f"{pair.keras.layer or '(the model)'} {role}"
            seen[name] = seen.get(name, 0) + 1
            yield name if seen[name] == 1 else f"{name} {seen[name]}", arrays(pair, role, of)[side].detach()


def ordered(exact: Arrays) -> list[str]:
    """Names of the quantities, grouped by kind."""
    kinds = list(dict.fromkeys(name.partition("/")[0] for name in exact))
    return sorted(exact, key=lambda name: kinds.index(name.partition("/")[0]))


def alike(logits: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Keras's output in the layout of PyTorch's: channels first, if PyTorch's are."""
    moved = logits.movedim(-1, 1) if logits.ndim > 2 else logits
    return moved if moved.shape == others.shape and (logits.ndim > 3 or logits.shape != others.shape) else logits


def compared(name: str, seen: torch.Tensor, exact: torch.Tensor, displaced: torch.Tensor) -> Check:
    """A quantity in float64 against the effect of rounding on it."""
    quantity, _, layer = name.partition("/")
    # A kernel of 3 × 3 from 3 channels to 3 would pass for an image with its channels last.
    difference = distance(seen, alike(exact, seen) if quantity.endswith("logits") else exact)
    bound = max(MARGIN * distance(displaced, seen), LEAST_UNITS * UNIT["float64"])
    zero = not float(exact.norm()) and not float(seen.norm())
    if quantity in OUTPUTS and not bound <= DECIDED_BY_ROUNDING:
        # An output that rounding alone could decide, or that is not finite, would prove nothing.
        bound = DECIDED_BY_ROUNDING
    if zero or not bound <= DECIDED_BY_ROUNDING:
        return Check(
            quantity,
            layer,
            "float64",
            _finite(difference),
            bound if isfinite(bound) else 1.0,
            True,
            "zero in theory, not compared",
        )
    return Check(quantity, layer, "float64", _finite(difference), bound, difference <= bound)


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def controls(side: PyTorchSide, found: Match, batch: Batch, exact: torch.Tensor, bound: float) -> Iterator[Check]:
    """Two faults that must show in the logits: a weight that is moved, and two layers that are exchanged."""

    def off() -> float:
        with torch.no_grad():
            logits = side.run(batch.inputs[1])
        return distance(logits, alike(exact, logits))

    for one in side.parameters:
        one.grad = None
    side.run(batch.inputs[1]).square().sum().backward()
    reached = [pair for pair in found.pairs if pair.pytorch.main.tensor.grad is not None]
    pair = next((pair for pair in reached if "kernel" in next(iter(pair.keras.slots))), reached[0])
    slot = pair.pytorch.main
    with torch.no_grad():
        pull = (slot.tensor.grad * slot.tensor).abs().flatten()
        moved = slot.tensor.view(-1)[pull.argmax()]
        moved *= 1 + MOVED
        seen = off()
        moved /= 1 + MOVED
    yield Check("control: a weight moved by 1 %", pair.keras.layer, "float64", seen, bound, seen > bound, "must differ")
    exchanged = [
        (one, other)
        for i, one in enumerate(found.pairs)
        for other in found.pairs[i + 1 :]
        if paired_layers.alike(one, other) and one.keras.kind != "norm" and not one.order and not other.order
    ]
    for one, other in exchanged[:5]:
        paired_layers.copy_weights(paired_layers.swapped(found.pairs, one, other))
        seen = off()
        paired_layers.copy_weights(found.pairs)
        if seen > bound:
            break
    if exchanged:
        names = f"{one.keras.layer} and {other.keras.layer}"
        quantity = "control: two layers exchanged"
        yield Check(quantity, names, "float64", seen, bound, seen > bound, "must differ")


def dropout_shares(side: Side, inputs: torch.Tensor) -> Iterator[Check]:
    """The share that each dropout drops when it draws for itself."""
    with shared(side.rates, own=True) as draws, torch.no_grad():
        side.run(inputs, True)
    framework = "Keras" if isinstance(side, KerasSide) else "PyTorch"
    for i, call in enumerate((call for call in draws.calls if call.rate), 1):
        bound = DEVIATIONS * sqrt(call.rate * (1 - call.rate) / call.units)
        difference = abs(call.dropped - call.rate)
        where = f"{call.dropped:.4f} instead of {call.rate:.4g}"
        yield Check("share dropped", f"dropout {i} in {framework}", "", difference, bound, difference <= bound, where)


def flops_of(side: Side, inputs: torch.Tensor) -> int:
    """FLOPs of a forward pass for one sample, by PyTorch's counter; both models compute with PyTorch."""
    # With gradients on: without them, the counter fails at a layer that gives a weight of its own.
    with FlopCounterMode(display=False) as counter:
        side.run(inputs)
    return counter.get_total_flops() // len(inputs)


def single_precision(
    ours: KerasSide,
    theirs: PyTorchSide,
    problem: Problem,
    batch: Batch,
    in_float32: Callable[[], KerasSide],
) -> Iterator[Check]:
    """Float32 of each side against its own float64, whose weights have the same order."""
    exact = evaluated(KerasTraining(ours, problem), batch)
    weights = ours.state()
    of_pytorch, noise = in_single(theirs, problem, batch)
    low = in_float32()
    low.restore(weights)
    yield from against("Keras", evaluated(KerasTraining(low, problem), batch.typed(torch.float32)), exact, noise)
    yield from of_pytorch


def in_single(side: PyTorchSide, problem: Problem, batch: Batch) -> tuple[list[Check], dict[str, float]]:
    """Float32 of a module against its own float64, and the effect of rounding on each quantity."""
    exact = evaluated(PyTorchTraining(side, problem), batch)
    with Displaced(UNIT["float32"], growing=False, seed=0):
        noisy = evaluated(PyTorchTraining(side, problem), batch)
    noise = {quantity: distance(noisy[quantity], one) for quantity, one in exact.items()}
    single = evaluated(PyTorchTraining(side.in_precision("float32"), problem), batch.typed(torch.float32))
    return list(against("PyTorch", single, exact, noise)), noise


def against(framework: str, single: Arrays, exact: Arrays, noise: Mapping[str, float]) -> Iterator[Check]:
    """Each quantity in float32 with its bound."""
    for quantity, array in single.items():
        bound = MARGIN * max(noise[quantity], LEAST_UNITS * UNIT["float32"])
        difference = distance(array, exact[quantity])
        yield Check(quantity, framework, "float32", _finite(difference), bound, difference <= bound)


def evaluated(training: KerasTraining | PyTorchTraining, batch: Batch) -> Arrays:
    """Logits, loss and all gradients in one array, in evaluation mode."""
    side = training.side
    for one in side.parameters:
        one.grad = None
    logits, loss = training.loss(batch, False)
    loss.backward()
    gradients = [one.grad.flatten().double() for one in side.parameters if one.grad is not None]
    return {
        "evaluation logits": logits.detach(),
        "evaluation loss": loss.detach(),
        "evaluation gradient": torch.cat(gradients),
    }
