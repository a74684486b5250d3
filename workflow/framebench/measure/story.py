"""Comparison of a run with its certificate: the same work at its own batch size, precision, track and input.

The measuring process only keeps its weight changes (`framebench.measure.looks`). Its supervisor compares them with the
reference after the process has ended: the reference then computes alone, and nothing in a run can influence it.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from framebench import workloads
from framebench.certify import story as reference
from framebench.certify.problem import certified
from framebench.data.batches import Batch, batch, read
from framebench.frameworks.contract import Weights
from framebench.measure.request import Request
from framebench.workloads.layers import Workload
from framebench.workloads.own import Own

FOLDER = "looks"  # in the names of the files that a measuring process keeps
NOT_TOLD = "story_not_told"  # flag of a run whose work could not be compared with the reference's
# Factors on the bounds, which are from the first batches: for later batches, and with dropout, since the effect of a
# mask depends on the images.
LATER_THAN_KNOWN, LATER_BESIDE_DROPOUT = 2.0, 4.0
# Rounding sends a ReLU or a pooling window into the other branch in one of some hundred small batches, and the batches
# behind the bounds may have none (PyTorch, article-cnn, batch 8 and 32: in 12 of 1,344 looks). Before a run is refused,
# this many draws of rounding are made on the very batches of the look.
AGAIN = 8
START, WITHOUT_DROPOUT, LATER = "start", "no_dropout", "later"
OUTPUT = "outputs"
SHARE = "share of the reference"


def facts(request: Request) -> dict[str, Any]:
    """The reference for the runs of this request, without its arrays."""
    assert request.story, "it is asked for"
    with np.load(request.story, allow_pickle=False) as file:
        return json.loads(str(file["facts"]))


def in_loop(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bounds of the steps as measured, with dropout, by the number of steps."""
    return told.get("masks", told.get("bounds", {}))


def judged(request: Request, kept: Path) -> tuple[dict[str, Any], list[str]]:
    """Record fields and flags: `story`, with each look's number nearest to its bound, and the reason if invalid.

    `kept`: the folder filled by `Looks`; an empty one gives no fields. Raises ValueError for any other file.
    """
    told, workload, data = facts(request), workloads.load(request.cell.workload), read(Path(request.data))

    def of(number: int) -> Batch:
        return batch(workload, data, request.cell.batch_size, number, request.batches)

    seen: list[dict[str, Any]] = []
    fault = None
    for path in sorted(kept.glob("*.npz")):
        _, at, steps, number = path.stem.split(" ")
        with np.load(path, allow_pickle=False) as file:
            changed = {name: file[name] for name in file.files}
        look, again = (at, int(steps), int(number)), 0 if fault else AGAIN
        compared = _looked_at(request, workload, told, changed, look, of=of, again=again)
        seen.append({"at": at, "step": int(number) + int(steps)} | max(compared, key=_share))
        if not fault and _share(seen[-1]) > 1:
            fault = seen[-1]
    found: dict[str, Any] = {"story": seen}
    if fault:
        found |= {"status": "invalid", "reason": _told(fault)}
    if not seen and in_loop(told):
        found |= {
            "status": "invalid",
            "reason": "no step could be looked at: its first call told of steps it may not take",
        }
    return found, [] if in_loop(told) else [NOT_TOLD]


def _looked_at(
    request: Request,
    workload: Workload,
    told: Mapping[str, Any],
    changed: Weights,
    look: tuple[str, int, int],
    *,
    of: Callable[[int], Batch],
    again: int,
) -> list[dict[str, Any]]:
    """All numbers of a look: its place, its steps, and its first step; `of` gives a batch.

    Where one is beyond the bounds of rounding, this many draws on the batches of the look may widen them.
    """
    at, steps, number = look
    bounds = told["bounds"] if at == WITHOUT_DROPOUT else in_loop(told)
    if not workload.trains:
        output, samples = changed[OUTPUT], of(number)[0]
        rows, expected = (len(np.unique(one.reshape(len(one), -1), axis=0)) for one in (output, samples))
        rows_told = _entry(OUTPUT, "number of different rows", rows, expected, 0.5)
        changed = {OUTPUT: output[reference.places(workload, len(output), first=at == START)]}
    exact = _of_batches(request, workload, number, steps, of) if at == LATER else _of_first(request, steps)
    if isinstance(workload, Own):
        # Changes of both files, and of each those that rounding does not decide.
        exact = {name: array for name, array in exact.items() if name in changed}
        changed, again = {name: changed[name] for name in exact}, 0
    shapes = ({name: array.shape for name, array in one.items()} for one in (changed, exact))
    if not exact or next(shapes) != next(shapes):
        raise ValueError("the weights that it kept are not those of the workload")
    wider = LATER_BESIDE_DROPOUT if "masks" in told else LATER_THAN_KNOWN
    numbers, times = reference.numbers(changed, exact), wider if at == LATER else 1.0
    if bounds is not told["bounds"]:
        return list(_beside_dropout(numbers, bounds[str(steps)], times))
    if not workload.trains:
        return [rows_told, *_beside_rounding(numbers, times * bounds[str(steps)])]
    bound, along = times * bounds[str(steps)], times * told["along"][str(steps)]
    seen = list(_beside_rounding(numbers, bound, along))
    for draw in range(reference.DRAWS, reference.DRAWS + again):
        if not 1 < max(map(_share, seen)) < math.inf:
            break
        here = reference.displaced(
            certified(workload),
            workload.initial_weights(request.protocol.seed),
            [of(one) for one in range(number, number + steps)],
            {steps: exact},
            precision=request.cell.precision,
            draw=draw,
            products=True,
        )
        wider_bound, wider_along = (one[str(steps)] for one in reference.of_rounding([here]))
        bound, along = max(bound, wider_bound), max(along, wider_along)
        seen = list(_beside_rounding(numbers, bound, along))
    return seen


def _of_first(request: Request, steps: int) -> Weights:
    """The reference's changes after so many of the first steps."""
    assert request.story, "it is asked for"
    prefix = f"{steps}/"
    with np.load(request.story, allow_pickle=False) as file:
        return {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}


def _of_batches(request: Request, workload: Workload, number: int, steps: int, of: Callable[[int], Batch]) -> Weights:
    """The same for so many steps from this batch on, or the outputs of that batch in inference."""
    weights = workload.initial_weights(request.protocol.seed)
    if not workload.trains:
        few = reference.places(workload, request.cell.batch_size, first=False)
        return {OUTPUT: reference.outputs(workload, weights, of(number)[0][few])}
    batches = map(of, range(number, number + steps))
    return reference.updates(certified(workload), weights, batches, (steps,))[steps]


def _beside_dropout(numbers: reference.Numbers, masks: Mapping, times: float) -> Iterator[dict[str, Any]]:
    """Every number with its expected value and its bound."""
    for name, expectations in masks.items():
        for number, value, (expected, bound) in zip(("size", SHARE), numbers[name], expectations, strict=True):
            yield _entry(name, number, value, expected, times * bound)


def _beside_rounding(numbers: reference.Numbers, bound: float, along: float | None = None) -> Iterator[dict[str, Any]]:
    """Distance of each weight with its bound, and the share of the reference in all weights with its own bound."""
    for name, pair in numbers.items():
        yield _entry(name, "distance", reference.distance(*pair), 0.0, bound)
    if along is not None:
        yield _entry(reference.ALL, SHARE, numbers[reference.ALL][1], 1.0, along)


def _entry(weight: str, number: str, value: float, expected: float, bound: float) -> dict[str, Any]:
    value = value if math.isfinite(value) else None  # type: ignore[assignment]
    return {"weight": weight, "number": number, "value": value, "expected": expected, "bound": bound}


def _share(one: Mapping[str, Any]) -> float:
    """Deviation of a number, in units of its bound."""
    return math.inf if one["value"] is None else abs(one["value"] - one["expected"]) / one["bound"]


def _told(one: Mapping[str, Any]) -> str:
    """Description of the looks at which a run departed from the reference."""
    first = f"the first {one['step']} steps" if one["step"] > 1 else "the first step"
    when = {
        START: f"after {first}",
        WITHOUT_DROPOUT: f"after {first} without dropout",
        LATER: f"in step {one['step']:,}, taken from the initial weights",
    }[one["at"]]
    value = "no finite number" if one["value"] is None else f"{one['value']:.3g}"
    subject = OUTPUT if one["weight"] == OUTPUT else f"the change of {one['weight']}"
    return (
        f"not the reference's work {when}: the {one['number']} of {subject} is {value}, expected "
        f"{one['expected']:.3g} to within {one['bound']:.2g}"
    )
