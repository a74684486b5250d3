"""Prove pairs of files: started under the PyTorch environment's interpreter, it reads requests and writes answers.

See `framebench.prove.inside.answering`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras as keras_package
import numpy as np
import torch

from framebench.prove.inside import checks, differences, drawing, given, matching
from framebench.prove.inside.answering import answer_requests
from framebench.prove.inside.causes import lone_role
from framebench.prove.inside.differences import Difference
from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.locate import Place, lacking, locate
from framebench.prove.inside.pairs import Match, Pair, copy_weights, first_bad, shared_roles
from framebench.prove.inside.pytorch_side import PyTorchSide
from framebench.prove.inside.side import Side, kept
from framebench.prove.inside.trace import SAME, VIEWS
from framebench.prove.inside.training import Batch, Displaced, KerasTraining, Problem, PyTorchTraining, distance
from framebench.workloads.loading import UserError

CONSTRAINTS = ("kernel_constraint", "embeddings_constraint", "bias_constraint", "recurrent_constraint")
# Differences without effect on a step that is taken without dropout.
UNFELT = {"running variance", "momentum of a norm", "epsilon of Adam", "initial weights", "dropout rate"}
WIDER = 4.0  # times the weights of the proof: activations of 1 then pass 3 and 6, where some activations change


def prove(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request: outcome, first difference, cause, differences, matches and checks."""
    folder = Path(request["folder"])
    torch.backends.mha.set_fastpath_enabled(False)  # fused for inference, it would hide the layers inside
    torch.set_num_threads(request["threads"])
    batches = list(drawn(request))
    inputs = batches[0].inputs
    keras_package.utils.set_random_seed(request["seed"])
    asked = [(folder / request[side]["file"], request[side]["function"]) for side in ("keras", "pytorch")]
    ours = KerasSide(*asked[0], "float64", inputs[0])
    theirs = PyTorchSide(*asked[1], "float64", inputs[1])
    built = ours.state(), theirs.state()
    problem = Problem.of(request)
    trainings = KerasTraining(ours, problem), PyTorchTraining(theirs, problem)
    if "told" in request and request["compare_anyway"]:
        given.write(Path(request["told"]), trainings, batches[0])  # each with its own, unless they match
    randomise(ours, theirs, request["seed"])
    kinds = [check_output(ours, inputs[0], request), check_output(theirs, inputs[1], request)]
    if all(kinds):
        raise UserError(f"{ours.file} and {theirs.file}: the models give {probabilities(kinds[0], request)}")
    gelus = list(differences.gelus(theirs, ours.trace(inputs[0]), theirs.trace(inputs[1])))
    found = matched(ours, theirs, inputs, request["weights"])
    listed = [*gelus, *differences.norm_differences(found.pairs)]
    answer = {
        "settled": settled(ours, request),
        "parameters": {"keras": count(ours.parameters), "pytorch": count(theirs.parameters)},
        "matches": [
            {
                "keras": one.keras.layer,
                "pytorch": theirs.name(one.pytorch.layer),
                "weights": shapes(one),
                "order": one.order or None,
            }
            for one in found.pairs
        ],
        "unmatched": {"keras": rest(found.only_keras), "pytorch": rest(found.only_pytorch)},
        "trials": found.trials,
        "checks": [],
        "versions": {"keras": keras_package.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    if any(kinds) and found.pairs:
        last = (
            found.pairs[-1]
            if found.bad is None
            else max(found.pairs, key=lambda one: found.keras.first_use(one.keras.weights))
        )
        file, kind = (ours.file, kinds[0]) if kinds[0] else (theirs.file, kinds[1])
        cause = f"{file} gives {probabilities(kind, request)}"
        return answer | different(Place(last.keras.layer, last.pytorch.layer, cause), listed, ours, theirs)
    if place := parted(found) or frozen(found, ours, theirs) or lone(found) or wide(ours, theirs, found, inputs):
        return answer | different(place, listed, ours, theirs)
    with kept(ours, theirs):
        ours.restore(built[0])
        theirs.restore(built[1])
        listed += differences.initial_weights(found.pairs, ours, theirs)
    listed += [*differences.running_variances(found.pairs, theirs), *differences.second_biases(found.pairs)]
    listed += differences.regularizers(ours, found.pairs)
    listed += differences.dropouts(ours, theirs, inputs)
    if "told" in request:
        with kept(ours, theirs):
            ours.restore(built[0])
            theirs.restore(built[1])
            copy_weights(found.pairs)
            alike = {one.kind for one in listed} <= UNFELT
            given.write(Path(request["told"]), trainings, batches[0], alike=alike)
    place = in_training(ours, theirs, found, inputs)
    listed += differences.epsilon_of_adam(request["optimizer"].get("epsilon"))
    again = partial(KerasSide, *asked[0], "float32", inputs[0])
    made = checks.made(ours, theirs, found, problem, batches=batches, in_float32=again)
    answer |= {"checks": [asdict(one) for one in made.checks], "flops_per_sample": made.flops}
    if failed := [one for one in made.checks if not one.passed]:
        return answer | different(where(ours, theirs, found, place, failed), listed, ours, theirs)
    outcome = {"outcome": "equal_but" if listed else "equal", "first_different": None, "cause": None}
    return answer | outcome | {"differences": named(listed, ours, theirs)}


def matched(
    ours: KerasSide, theirs: PyTorchSide, inputs: tuple[torch.Tensor, torch.Tensor], told: Mapping[str, str]
) -> Match:
    """The match of both sides, with constants of float64, or of float32 if they match only then."""
    prepare = partial(differences.give_norms, side=theirs)
    found = matching.match(ours, theirs, inputs, told, prepare)
    if found.bad is not None and theirs.round_constants():
        again = matching.match(ours, theirs, inputs, told, prepare)
        found = again if again.bad is None else found
    return found


def different(place: Place, listed: Sequence[Difference], ours: KerasSide, theirs: PyTorchSide) -> dict[str, Any]:
    names = (
        (None if place.keras is None else ours.name(place.keras)),
        (None if place.pytorch is None else theirs.name(place.pytorch)),
    )
    return {
        "outcome": "different",
        "first_different": dict(zip(("keras", "pytorch"), names, strict=True)),
        "cause": place.cause,
        "differences": named(listed, ours, theirs),
    }


def named(listed: Sequence[Difference], ours: KerasSide, theirs: PyTorchSide) -> list[dict[str, Any]]:
    """Differences with the user's own names of layers."""
    return [
        asdict(one)
        | {
            "keras": ours.name(one.keras) if one.keras else None,
            "pytorch": theirs.name(one.pytorch) if one.pytorch else None,
        }
        for one in listed
    ]


def frozen(found: Match, ours: KerasSide, theirs: PyTorchSide) -> Place | None:
    """A layer that only one side trains; UserError for one that neither does."""
    for pair in found.pairs:
        for role in shared_roles(pair):
            slots = pair.slots(role)
            if role in checks.STATISTICS or all(slot.trained for slot in slots):
                continue
            if not any(slot.trained for slot in slots):
                raise UserError(
                    f"{ours.file}: layer {ours.name(pair.keras.layer)!r} is frozen (trainable = False), and so is"
                    f" {theirs.name(pair.pytorch.layer)!r} of {theirs.file}; a proof needs all layers trained"
                )
            where, how = ("Keras", "trainable = False") if slots[1].trained else ("PyTorch", "requires_grad = False")
            return Place(
                pair.keras.layer, pair.pytorch.layer, f"frozen in {where} only ({how}): the {role} is not trained"
            )
    return None


def wide(ours: KerasSide, theirs: PyTorchSide, found: Match, inputs: tuple[torch.Tensor, torch.Tensor]) -> Place | None:
    """A place where the models part only at larger activations, for example at a ReLU that one side cuts at 6."""
    with kept(ours, theirs):
        return _wide(ours, theirs, found, inputs)


def _wide(
    ours: KerasSide, theirs: PyTorchSide, found: Match, inputs: tuple[torch.Tensor, torch.Tensor]
) -> Place | None:
    with torch.no_grad():
        for pair in found.pairs:
            for role, slot in pair.keras.slots.items():
                if role not in checks.STATISTICS:
                    slot.value.mul_(WIDER)
    copy_weights(found.pairs)
    with torch.no_grad(), Displaced(checks.UNIT["float64"], growing=True, seed=0):
        noisy = theirs.run(inputs[1])
    with torch.no_grad():
        exact = theirs.run(inputs[1])
    if distance(noisy, exact) >= SAME:  # rounding alone moves the output this far: nothing can be decided
        return None
    traces = ours.trace(inputs[0]), theirs.trace(inputs[1])
    bad = first_bad(*traces)
    return None if bad is None else locate(replace(found, keras=traces[0], pytorch=traces[1], bad=bad))


def parted(found: Match) -> Place | None:
    """The place where the evaluation passes of a matched pair part, or a weight that only one of them has."""
    if found.bad is not None:
        return locate(found)
    for units, ours in ((found.only_keras, True), (found.only_pytorch, False)):
        if units:
            return lacking(units[0], found, ours)
    return None


def lone(found: Match) -> Place | None:
    """A bias that only one side trains and that changes nothing, for example one of attention's keys."""
    for pair in found.pairs:
        if cause := lone_role(pair, trained=True):
            return Place(pair.keras.layer, pair.pytorch.layer, cause)
    return None


def in_training(
    ours: KerasSide, theirs: PyTorchSide, found: Match, inputs: tuple[torch.Tensor, torch.Tensor]
) -> Place | None:
    """The place where a training pass parts, if it does."""
    traces = ours.trace(inputs[0], training=True), theirs.trace(inputs[1], training=True)
    bad = first_bad(*traces)
    if bad is None:
        return None
    place = locate(replace(found, keras=traces[0], pytorch=traces[1], bad=bad, training=True))
    return replace(place, cause=f"in training only: {place.cause or 'another function'}")


def where(
    ours: KerasSide, theirs: PyTorchSide, found: Match, place: Place | None, failed: Sequence[checks.Check]
) -> Place:
    """The place of a difference that evaluation does not show, by the first check that fails."""
    first = failed[0].quantity
    if failed[0].precision == "float32":
        return Place(None, None, f"in float32 only: {first} of {failed[0].layer}")
    if first == "evaluation logits":
        last = max(found.pairs, key=lambda one: found.keras.first_use(one.keras.weights))
        cause = "order of the outputs: the same numbers stand in another order"
        return Place(last.keras.layer, last.pytorch.layer, cause)
    if first.startswith("training logits") and place:
        return place
    names = [one.layer for one in failed if one.quantity == first]
    pairs = [pair for pair in found.pairs if any(name.startswith(f"{pair.keras.layer} ") for name in names)]
    if not pairs:
        return Place(None, None, f"in training only: {first}")
    # Gradients come from the loss: the last layer that differs is the first on their way.
    last = pairs[-1]
    layer = ours.at(last.keras.layer)
    constraint = next((name for name in CONSTRAINTS if getattr(layer, name, None) is not None), None)
    cause = f"{constraint} of Keras" if constraint else f"{first} differs"
    row = getattr(theirs.at(last.pytorch.layer), "padding_idx", None)
    if not constraint and row is not None:
        cause = f"in training only: padding_idx of PyTorch: row {row} is not trained"
        return Place(last.keras.layer, last.pytorch.layer, cause)
    if first == "gradient":
        cause += ", as where a gradient is stopped (detach, no_grad, stop_gradient)"
    return Place(last.keras.layer, last.pytorch.layer, f"in training only: {cause}")


def count(tensors: Sequence[torch.Tensor]) -> int:
    return sum(one.numel() for one in tensors)


def shapes(pair: Pair) -> dict[str, list[int]]:
    return {role: list(pair.keras.slots[role].shape) for role in pair.keras.slots}


def rest(units: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"layer": unit.layer, "weights": {role: list(one.shape) for role, one in unit.slots.items()}} for unit in units
    ]


def settled(side: KerasSide, request: dict[str, Any]) -> list[str]:
    """Sentences on everything that the two files leave open."""
    told = ["Initial weights: each framework draws its own by default; both models are given the same."]
    if isinstance(epsilon := request["optimizer"].get("epsilon"), float):
        told.append(
            f"Epsilon of Adam: {epsilon:g} in both, added to the corrected root as in the paper and in PyTorch; Keras"
            " alone would add it before the correction."
        )
    told += [
        f"{side.file} asks for {one}: overruled, the precision is the campaign's."
        for one in dict.fromkeys(side.overruled)
    ]
    return told


def drawn(request: dict[str, Any]) -> Iterator[Batch]:
    """The batches in the layout of each framework."""
    try:
        for inputs, targets in drawing.batches(request):
            x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
            yield Batch((x, channels_first(x)), (y, y if "classes" in request["target"] else channels_first(y)))
    except MemoryError:
        raise UserError(
            "problem.yaml: input.shape, target.shape: samples of this size do not fit into memory"
        ) from None


def channels_first(tensor: torch.Tensor) -> torch.Tensor:
    """A batch of images in PyTorch's layout; anything else unchanged."""
    return tensor.movedim(-1, 1).contiguous() if tensor.ndim >= 4 else tensor


def randomise(ours: KerasSide, theirs: PyTorchSide, seed: int) -> None:
    """Draw every weight of both, including statistics: initial zeros and ones would hide a missing bias or epsilon."""
    generator = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for unit in [*ours.units, *theirs.units]:
            for role, slot in unit.slots.items():
                # Parameters that a user froze because the other side has none stay unchanged: a second bias, a norm's
                # scale.
                if slot.trained or not role.startswith(("recurrent bias", "gamma", "beta")):
                    slot.value.copy_(torch.from_numpy(drawing.weight(role, slot.shape, generator)))


def check_output(side: Side, inputs: torch.Tensor, request: dict[str, Any]) -> str | None:
    """The function that turns the output into probabilities instead of logits, if there is one.

    Raises UserError for an output that cannot be trained on: of another shape, not finite, or random.
    """
    output = side.run(inputs)
    with torch.no_grad():
        again = side.run(inputs)
    if not isinstance(output, torch.Tensor):
        raise UserError(f"{side.file}: the model returns a {type(output).__name__}; it must return one tensor")
    target, loss = request["target"], request["loss"]
    inner = list(target.get("shape", []))
    if "classes" in target:
        allowed = [[*inner, target["classes"]], [target["classes"], *inner]]
        asked = f"target.classes {target['classes']}"
    else:
        image = [inner[-1], *inner[:-1]] if len(inner) >= 3 else inner
        allowed = [image if isinstance(side, PyTorchSide) else inner]
        asked = f"target.shape {inner}"
    if list(output.shape[1:]) not in allowed or len(output) != len(inputs):
        raise UserError(
            f"{side.file}: the model gives {list(output.shape[1:])} for a sample;"
            f" problem.yaml: {asked} asks for {allowed[0]}"
        )
    if not torch.isfinite(output).all():
        raise UserError(f"{side.file}: the model gives NaN or infinity at random weights and inputs")
    if not output.requires_grad:
        raise UserError(f"{side.file}: no gradient reaches the weights from the output (detach, no_grad, a constant)")
    output = output.detach()
    if not torch.allclose(output, again, rtol=1e-9, atol=0):
        raise UserError(
            f"{side.file}: two evaluation passes over one batch differ; dropout and noise must be off in evaluation"
        )
    if not loss.endswith("cross_entropy"):
        return None
    inside = bool(output.min() >= 0 and output.max() <= 1)
    axis = 1 if list(output.shape[1:]) == allowed[-1] else -1
    last = output_operation(side, inputs)
    if (
        "classes" in target
        and inside
        and torch.allclose(output.sum(axis), torch.ones(1, dtype=output.dtype), atol=1e-6)
    ):
        return "softmax"
    if "classes" in target and torch.allclose(output.exp().sum(axis), torch.ones(1, dtype=output.dtype), atol=1e-6):
        return "log_softmax"
    return "sigmoid" if inside and last == "sigmoid" else None


def output_operation(side: Side, inputs: torch.Tensor) -> str:
    """The last operation of a model that is no view."""
    trace = side.trace(inputs)
    place = trace.output
    while place >= 0 and trace.nodes[place].operation in VIEWS and trace.nodes[place].parents:
        place = trace.nodes[place].parents[0]
    return trace.nodes[place].operation if place >= 0 else ""


def probabilities(kind: str | None, request: dict[str, Any]) -> str:
    return f"probabilities ({kind} at the end); problem.yaml: loss: {request['loss']} takes logits"


if __name__ == "__main__":
    # The parts of attention, which a trace can see, instead of one kernel.
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        answer_requests(prove)
