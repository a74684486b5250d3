"""Prove one pair of files: started under the PyTorch environment's interpreter, it reads a request and writes an answer.

The request is JSON on the command line's first file, the answer JSON in the second. What a user's code prints goes to
the log that is this process's output.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras as keras_package
import numpy as np
import torch

from framebench.prove.inside import checks, differences, matching
from framebench.prove.inside.differences import Difference
from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.loading import Siblings, UserError
from framebench.prove.inside.locate import Place, lacking, locate
from framebench.prove.inside.matching import Match, Pair, first_bad
from framebench.prove.inside.pytorch_side import PyTorchSide
from framebench.prove.inside.training import STEPS, Batch, Problem
from framebench.prove.inside.units import Slot

# Few, so that a proof is quick; odd and no usual size of a layer, so that an axis taken for the batch shows.
SAMPLES = 5


def prove(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request: outcome, first difference, cause, differences, matches and checks."""
    folder = Path(request["folder"])
    os.chdir(folder)
    sys.meta_path.append(Siblings(folder))
    torch.backends.mha.set_fastpath_enabled(False)  # fused for inference, it would hide the layers inside
    torch.set_num_threads(request["threads"])
    batches = list(drawn(request))
    inputs = batches[0].inputs
    torch.manual_seed(request["seed"])
    paths, functions = zip(*((folder / request[side]["file"], request[side]["function"]) for side in ("keras", "pytorch")))
    ours = KerasSide(paths[0], functions[0], "float64", inputs[0])
    theirs = PyTorchSide(paths[1], functions[1], "float64", inputs[1])
    randomise(ours, theirs, request["seed"])
    for side, x in zip((ours, theirs), inputs, strict=True):
        check_outputs(side, x, request)
    gelus = list(differences.gelus(theirs, ours.trace(inputs[0]), theirs.trace(inputs[1])))
    found = matching.match(ours, theirs, inputs, request["weights"], partial(differences.give_norms, side=theirs))
    listed = [*gelus, *differences.norm_differences(found.pairs)]
    answer = {
        "settled": settled(ours, request),
        "parameters": {"keras": count(ours.parameters), "pytorch": count(theirs.parameters)},
        "matches": [
            {"keras": one.keras.layer, "pytorch": one.pytorch.layer, "weights": shapes(one), "order": one.order or None}
            for one in found.pairs
        ],
        "unmatched": {"keras": rest(found.only_keras), "pytorch": rest(found.only_pytorch)},
        "trials": found.trials,
        "checks": [],
        "versions": {"keras": keras_package.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    if place := parted(found):
        return answer | different(place, listed)
    listed += [*differences.running_variances(found.pairs, theirs), *differences.second_biases(found.pairs)]
    listed += differences.regularizers(ours)
    traces = ours.trace(inputs[0], training=True), theirs.trace(inputs[1], training=True)
    listed += differences.dropout_rates(theirs, *traces)
    problem = Problem(request["loss"], request["optimizer"])
    again = partial(KerasSide, paths[0], functions[0], "float32", inputs[0])
    made = checks.made(ours, theirs, again, found, problem, batches)
    answer |= {"checks": [asdict(one) for one in made.checks], "flops_per_sample": made.flops}
    if failed := [one for one in made.checks if not one.passed]:
        return answer | different(in_training(ours, theirs, found, inputs, failed), listed)
    outcome = {"outcome": "equal_but" if listed else "equal", "first_different": None, "cause": None}
    return answer | outcome | {"differences": [asdict(one) for one in listed]}


def different(place: Place, listed: Sequence[Difference]) -> dict[str, Any]:
    return {
        "outcome": "different",
        "first_different": {"keras": place.keras, "pytorch": place.pytorch},
        "cause": place.cause,
        "differences": [asdict(one) for one in listed],
    }


def parted(found: Match) -> Place | None:
    """The place where the evaluation passes of a matched pair part, or a weight that only one of them has."""
    if found.bad is not None:
        return locate(found)
    for units, ours in ((found.only_keras, True), (found.only_pytorch, False)):
        if units:
            return lacking(units[0], found, ours)
    return None


def in_training(
    ours: KerasSide,
    theirs: PyTorchSide,
    found: Match,
    inputs: tuple[torch.Tensor, torch.Tensor],
    failed: Sequence[checks.Check],
) -> Place:
    """The place of a difference that evaluation does not show: in a training pass, or the first check that fails."""
    traces = ours.trace(inputs[0], training=True), theirs.trace(inputs[1], training=True)
    bad = first_bad(*traces)
    if bad is not None:
        place = locate(replace(found, keras=traces[0], pytorch=traces[1], bad=bad))
        return replace(place, cause=f"in training only: {place.cause or 'another function'}")
    names = [one.layer for one in failed if one.quantity == failed[0].quantity]
    pairs = [pair for pair in found.pairs if any(name.startswith(f"{pair.keras.layer} ") for name in names)]
    if not pairs:
        return Place(None, None, f"in training only: {failed[0].quantity}")
    # Gradients come from the loss: the last layer that differs is the first on their way.
    last = pairs[-1]
    for name in ("kernel_constraint", "embeddings_constraint", "bias_constraint"):
        layer = next((one for one, path in ours.paths.items() if path == last.keras.layer), None)
        if getattr(layer, name, None) is not None:
            return Place(last.keras.layer, last.pytorch.layer, f"in training only: {name} of Keras")
    return Place(last.keras.layer or None, last.pytorch.layer or None, f"in training only: {failed[0].quantity}")


def count(tensors: Sequence[torch.Tensor]) -> int:
    return sum(one.numel() for one in tensors)


def shapes(pair: Pair) -> dict[str, list[int]]:
    return {role: list(pair.keras.slots[role].shape) for role in pair.keras.slots}


def rest(units: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"layer": unit.layer, "weights": {role: list(one.shape) for role, one in unit.slots.items()}} for unit in units]


def settled(side: KerasSide, request: dict[str, Any]) -> list[str]:
    """What the two files do not decide, in sentences."""
    told = ["Initial weights: each framework draws its own by default; both models are given the same."]
    if request["optimizer"].get("epsilon") is not None:
        told.append(
            f"Epsilon of Adam: {request['optimizer']['epsilon']:g} in both, added to the corrected root as in the paper"
            " and in PyTorch; Keras alone would add it before the correction."
        )
    told += [f"{side.file} asks for {one}: overruled, the precision is the campaign's." for one in dict.fromkeys(side.overruled)]
    return told


def drawn(request: dict[str, Any]) -> Iterator[Batch]:
    """A batch for every step: normal floats that float32 holds exactly, or tokens below the limit."""
    generator = np.random.Generator(np.random.PCG64(request["seed"]))
    samples = min(SAMPLES, request["batch_size"])
    asked, target = request["input"], request["target"]
    for _ in range(max(STEPS)):
        shape = (samples, *asked["shape"])
        if asked["type"].startswith("float"):
            x = torch.from_numpy(generator.standard_normal(shape).astype(np.float32)).double()
        else:
            x = torch.from_numpy(generator.integers(0, asked["below"], shape).astype(asked["type"]))
        if "classes" in target:
            shape = (samples, *target.get("shape", []))
            y = torch.from_numpy(generator.integers(0, target["classes"], shape))
        elif request["loss"] == "binary_cross_entropy":
            y = torch.from_numpy(generator.integers(0, 2, (samples, *target["shape"]))).double()
        else:
            y = torch.from_numpy(generator.standard_normal((samples, *target["shape"])).astype(np.float32)).double()
        yield Batch((x, channels_first(x)), (y, y if "classes" in target else channels_first(y)))


def channels_first(tensor: torch.Tensor) -> torch.Tensor:
    """A batch of images as PyTorch has it; anything else as it is."""
    return tensor.movedim(-1, 1).contiguous() if tensor.ndim >= 4 else tensor


def randomise(ours: KerasSide, theirs: PyTorchSide, seed: int) -> None:
    """Draw every weight of both, statistics too: zeros and ones as built would hide a missing bias or epsilon."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for unit in [*ours.units, *theirs.units]:
            for role, slot in unit.slots.items():
                slot.value.copy_(_random(role, slot, generator) if _free(role, slot) else slot.value)


def _free(role: str, slot: Slot) -> bool:
    """A second bias that a user froze at 0 stays there."""
    return slot.tensor.requires_grad or role in ("mean", "variance") or not isinstance(slot.tensor, torch.nn.Parameter)


def _random(role: str, slot: Slot, generator: torch.Generator) -> torch.Tensor:
    """Sizes that keep activations near 1 through many layers, and nothing near 0 that should be seen."""
    value = torch.randn(slot.shape, generator=generator, dtype=torch.float64)
    if role == "variance":
        return (0.3 * value).exp()
    if role == "gamma":
        return 1 + 0.3 * value
    if "kernel" in role:
        inside = max(1, value.numel() // value.shape[-1])
        return value * (1.5 / inside) ** 0.5
    return 0.3 * value


def check_outputs(side: KerasSide | PyTorchSide, inputs: torch.Tensor, request: dict[str, Any]) -> None:
    """UserError for an output that cannot be trained on: of another shape, not finite, random, or probabilities."""
    with torch.no_grad():
        output, again = side.run(inputs), side.run(inputs)
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
    if not torch.allclose(output, again, rtol=1e-9, atol=0):
        raise UserError(
            f"{side.file}: two evaluation passes over one batch differ; dropout and noise must be off in evaluation mode"
        )
    if not loss.endswith("cross_entropy") or output.min() < 0 or output.max() > 1:
        return
    axis = 1 if isinstance(side, PyTorchSide) and list(output.shape[1:]) == allowed[-1] else -1
    whole = "classes" in target and torch.allclose(output.sum(axis), torch.ones(1, dtype=output.dtype), atol=1e-6)
    nodes = side.trace(inputs)
    last = nodes.nodes[nodes.output].operation if nodes.output >= 0 else ""
    if whole or last == "sigmoid":
        raise UserError(
            f"{side.file}: the model gives probabilities ({'softmax' if whole else 'sigmoid'} at the end);"
            f" problem.yaml: loss: {loss} takes logits"
        )


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    output = Path(sys.argv[2])
    start = time.perf_counter()
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # in parts that a trace can see
            answer = prove(request)
    except UserError as error:
        answer = {"refused": str(error), "traceback": error.traceback}
    answer["seconds"] = time.perf_counter() - start
    output.write_text(json.dumps(answer, default=str), encoding="utf-8")


if __name__ == "__main__":
    main()
