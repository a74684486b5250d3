"""Whether a run does the work that its certificate is about, at its own batch size, precision, track and input.

All runs of a block begin with the same weights and see the same batches in the same order. After some of the first
steps a run is looked at, and what its optimizer has changed is held against what the reference changes there (see
`framebench.certify.story`). After the timed steps, weights and optimizer are put back to the beginning within the same
loop. The steps that follow show two things: that the program which was timed is still the same one, and by the batches
whose turn it is, that as many steps were taken as the clock has counted.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from framebench.certify import story as reference
from framebench.certify.problem import certified
from framebench.frameworks.contract import Trainer, Weights
from framebench.measure.request import Request
from framebench.workloads.layers import Workload

NOT_TOLD = "story_not_told"  # flag of a run whose work could not be held against the reference's
# The reference computes the steps at the end for each run by itself, and others may wait for that.
FLOPS = 1e11
# The bounds are known from the first batches, and those at the end are others.
AT_THE_END = 2.0
OUTPUT = "output"


class Story:
    """The looks at one run. A `Pace` says when to look; `judged` says what was seen."""

    def __init__(
        self, trainer: Trainer, request: Request, workload: Workload, *, weights: Weights, outputs: Sequence[np.ndarray]
    ) -> None:
        """`weights`: the initial ones; `outputs`: what came out of the last batch in inference."""
        assert request.story, "it is asked for"
        with np.load(request.story, allow_pickle=False) as file:
            self._facts = json.loads(str(file["facts"]))
            self._exact = {name: file[name] for name in file.files if name != "facts"}
        self._trainer, self._request, self._workload, self._weights = trainer, request, workload, weights
        self._outputs, self._trained = outputs, weights
        self._seen: list[dict[str, Any]] = []
        self._last: tuple[int, int, Weights] | None = None  # number of the first batch, steps, what they changed
        self.looked_s = 0.0
        # In the loop as it is measured, dropout and all.
        self._bounds: Mapping[str, Any] = self._facts.get("masks", self._facts.get("bounds", {}))
        self.after = tuple(map(int, self._bounds))

    def look(self, steps: int) -> None:
        """After so many of the first steps."""
        if steps not in self.after:
            return
        with self._looking():
            self._hold("start", steps, self._changed(self._trainer), self._bounds[str(steps)])

    def begin_anew(self, taken: int, at_once: int) -> int:
        """Put weights and optimizer back to the beginning after so many steps; returns how many are to follow.

        Steps are taken so many `at_once`. None follow where their bound is not known, or where the reference would
        take too long.
        """
        flops = at_once * self._request.cell.batch_size * self._workload.flops_per_sample
        if at_once not in self.after or (self._workload.trains and flops > FLOPS):
            return 0
        with self._looking():
            self._last = taken, at_once, {}
            if not self._workload.trains:
                self._last = taken - 1, 1, self._changed(self._trainer)
                return 0
            self._trained = self._trainer.weights()
            self._trainer.load(self._weights)
        return at_once

    def look_again(self, steps_s: float) -> None:
        """After the steps that have followed, in that time."""
        assert self._last, "they were asked for"
        self.looked_s += steps_s
        with self._looking():
            self._last = *self._last[:2], self._changed(self._trainer)
            self._trainer.load(self._trained)

    def judged(self) -> tuple[dict[str, Any], list[str]]:
        """Record fields and flags: `story`, by look the number nearest to its bound, and why the run is invalid."""
        if self._last:
            number, steps, changed = self._last
            self._hold("end", steps, changed, self._bounds[str(steps)], self._reference(number, steps))
        seen: dict[str, Any] = {"story": self._seen}
        if fault := next((one for one in self._seen if _share(one) > 1), None):
            seen |= {"status": "invalid", "reason": _told(fault)}
        return seen, [] if self._seen else [NOT_TOLD]

    @property
    def batches_without_dropout(self) -> int:
        """How many of the first batches a net with dropout is looked at without it; 0: it has none."""
        return max(map(int, self._facts["bounds"])) if "masks" in self._facts else 0

    def look_without_dropout(self, trainer: Trainer) -> None:
        """At the first steps of another trainer, whose dropout is off."""
        bounds, taken = self._facts["bounds"], 0

        class Looking:
            def over(pace, synchronise: Callable[[], object], steps: int = 1) -> bool:  # noqa: N805
                nonlocal taken
                synchronise()
                taken += steps
                if str(taken) in bounds:
                    self._hold("no_dropout", taken, self._changed(trainer), bounds[str(taken)])
                return taken >= self.batches_without_dropout

        trainer.train(Looking())

    def _changed(self, trainer: Trainer) -> Weights:
        """What the optimizer has changed so far, or of inference what came out last, of the samples looked at."""
        if self._workload.trains:
            return {name: array - self._weights[name] for name, array in trainer.weights().items()}
        output = self._outputs[-1]
        return {OUTPUT: output[reference.places(len(output), self._request.protocol.seed)]}

    def _reference(self, number: int, steps: int) -> Weights:
        """The same by the reference, of so many steps from the batch of this number on."""
        request, size = self._request, self._request.cell.batch_size

        def batch(of: int) -> reference.Batch:
            return reference.batch(self._workload, Path(request.data), size, of, request.batches)

        if not self._workload.trains:
            samples = batch(number)[0][reference.places(size, request.protocol.seed)]
            return {OUTPUT: reference.outputs(self._workload, self._weights, samples)}
        batches = map(batch, range(number, number + steps))
        return reference.updates(certified(self._workload), self._weights, batches, (steps,))[steps]

    def _hold(
        self, at: str, steps: int, changed: Weights, bounds: float | Mapping, exact: Weights | None = None
    ) -> None:
        """Keep the number that comes nearest to its bound, or is furthest over it.

        `exact`: what the reference changes at the end; None: in the first steps.
        """
        numbers = reference.numbers(changed, exact or self._of_first(steps))
        found = list(_compared(numbers, bounds, AT_THE_END if exact else 1.0))
        self._seen.append({"at": at, "step": steps} | max(found, key=_share))

    def _of_first(self, steps: int) -> Weights:
        prefix = f"{steps}/"
        return {name.removeprefix(prefix): one for name, one in self._exact.items() if name.startswith(prefix)}

    @contextmanager
    def _looking(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.looked_s += time.perf_counter() - start


def _compared(numbers: reference.Numbers, bounds: float | Mapping, times: float) -> Iterator[dict[str, Any]]:
    """Every number with what is expected of it, and by how much it may be off that."""
    if isinstance(bounds, Mapping):
        for name, expectations in bounds.items():
            for number, value, (expected, bound) in zip(("size", "along"), numbers[name], expectations, strict=True):
                yield _entry(name, number, value, expected, times * bound)
        return
    for name, pair in numbers.items():
        yield _entry(name, "distance", reference.distance(*pair), 0.0, times * bounds)


def _entry(weight: str, number: str, value: float, expected: float, bound: float) -> dict[str, Any]:
    value = value if math.isfinite(value) else None  # type: ignore[assignment]
    return {"weight": weight, "number": number, "value": value, "expected": expected, "bound": bound}


def _share(one: Mapping[str, Any]) -> float:
    """How far a number is off, in units of its bound."""
    return math.inf if one["value"] is None else abs(one["value"] - one["expected"]) / one["bound"]


def _told(one: Mapping[str, Any]) -> str:
    """Where a run did not do the reference's work, in words."""
    steps = f"{one['step']} step{'s' if one['step'] > 1 else ''}"
    when = {
        "start": f"after the first {steps}",
        "no_dropout": f"after the first {steps} without dropout",
        "end": f"in {steps} after the timed ones",
    }[one["at"]]
    value = "no finite number" if one["value"] is None else f"{one['value']:.3g}"
    return (
        f"not the reference's work {when}: the {one['number']} of the change of {one['weight']} is {value}, expected "
        f"{one['expected']:.3g} to within {one['bound']:.2g}"
    )
