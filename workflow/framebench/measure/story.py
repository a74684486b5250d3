"""Whether a run does the work that its certificate is about, at its own batch size, precision, track and input.

All runs of a block begin with the same weights and see the same batches in the same order. After some of the first
steps a run keeps what its optimizer has changed. After the timed steps, weights and optimizer are put back to the
beginning within the same loop, and it keeps what the next steps change: that shows that the program which was timed is
still the same one, and by the batches whose turn it is, that as many steps were taken as the clock has counted.

The measuring process only keeps what it sees (`Kept`). Its supervisor holds that against the reference once the process
is no more (`judged`): the reference computes alone then, and nothing that a run does can change what it says.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from framebench import workloads
from framebench.certify import story as reference
from framebench.certify.problem import certified
from framebench.frameworks.contract import Trainer, Weights
from framebench.measure.request import Request
from framebench.workloads.layers import Workload

FILE = "kept.npz"  # of what a measuring process keeps
NOT_TOLD = "story_not_told"  # flag of a run whose work could not be held against the reference's
# The reference computes the steps at the end for each run by itself.
FLOPS = 1e11
# The bounds are known from the first batches, and those at the end are others: so many times as wide, and beside
# dropout, as how much a mask changes depends on the images.
AT_THE_END, AT_THE_END_BESIDE_DROPOUT = 2.0, 4.0
START, WITHOUT_DROPOUT, END = "start", "no_dropout", "end"
OUTPUT = "output"


class Kept:
    """The looks at one run, in its process. A `Pace` says when to look; `save` leaves what was seen."""

    def __init__(
        self, trainer: Trainer, request: Request, workload: Workload, *, weights: Weights, outputs: Sequence[np.ndarray]
    ) -> None:
        """`weights`: the initial ones; `outputs`: what came out of the last batch in inference."""
        self._facts = facts(request)
        self._trainer, self._request, self._workload, self._weights = trainer, request, workload, weights
        self._outputs, self._trained = outputs, weights
        self._seen: dict[str, np.ndarray] = {}  # `<at>/<steps>/<number of the first batch>/<weight>`
        self._taken, self._at_once = 0, 1
        self.looked_s = 0.0
        self.after = tuple(map(int, in_loop(self._facts)))

    def look(self, steps: int) -> None:
        """After so many of the first steps."""
        if steps in self.after:
            self._keep(self._trainer, START, steps)

    def begin_anew(self, taken: int, at_once: int) -> int:
        """Put weights and optimizer back to the beginning after so many steps; returns how many are to follow.

        Steps are taken so many `at_once`. None follow where their bound is not known, or where the reference would
        take too long.
        """
        flops = at_once * self._request.cell.batch_size * self._workload.flops_per_sample
        if at_once not in self.after or (self._workload.trains and flops > FLOPS):
            return 0
        if not self._workload.trains:
            self._keep(self._trainer, END, 1, taken - 1)
            return 0
        with self._looking():
            self._taken, self._at_once, self._trained = taken, at_once, self._trainer.weights()
            self._trainer.load(self._weights)
        return at_once

    def look_again(self, steps_s: float) -> None:
        """After the steps that have followed, in that time."""
        self.looked_s += steps_s
        self._keep(self._trainer, END, self._at_once, self._taken)
        with self._looking():
            self._trainer.load(self._trained)

    @property
    def batches_without_dropout(self) -> int:
        """How many of the first batches a net with dropout is looked at without it; 0: it has none."""
        return max(map(int, self._facts["bounds"])) if "masks" in self._facts else 0

    def look_without_dropout(self, trainer: Trainer) -> None:
        """At the first steps of another trainer, whose dropout is off."""
        taken = 0

        class Looking:
            def over(pace, synchronise: Callable[[], object], steps: int = 1) -> bool:  # noqa: N805
                nonlocal taken
                synchronise()
                taken += steps
                if str(taken) in self._facts["bounds"]:
                    self._keep(trainer, WITHOUT_DROPOUT, taken)
                return taken >= self.batches_without_dropout

        trainer.train(Looking())

    def save(self, path: Path) -> None:
        """Leave what was seen in this file."""
        with self._looking():
            np.savez(path, **self._seen)  # type: ignore[arg-type]

    def _keep(self, trainer: Trainer, at: str, steps: int, number: int = 0) -> None:
        with self._looking():
            if self._workload.trains:
                changed = {name: array - self._weights[name] for name, array in trainer.weights().items()}
            else:
                output = self._outputs[-1]
                changed = {OUTPUT: output[reference.places(len(output), self._request.protocol.seed)]}
            self._seen |= {f"{at}/{steps}/{number}/{name}": array for name, array in changed.items()}

    @contextmanager
    def _looking(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.looked_s += time.perf_counter() - start


def facts(request: Request) -> dict[str, Any]:
    """What the reference says of the runs of this request, but for its arrays."""
    assert request.story, "it is asked for"
    with np.load(request.story, allow_pickle=False) as file:
        return json.loads(str(file["facts"]))


def in_loop(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """The bounds of the steps as they are measured, dropout and all, by the number of steps."""
    return told.get("masks", told.get("bounds", {}))


def judged(request: Request, kept: Path) -> tuple[dict[str, Any], list[str]]:
    """Record fields and flags: `story`, by look the number nearest to its bound, and why the run is invalid.

    `kept`: the file that `Kept.save` has left; without it nothing is told. Raises ValueError where it is no such file.
    """
    told = facts(request)
    looks: dict[tuple[str, int, int], Weights] = {}
    if kept.exists():
        with np.load(kept, allow_pickle=False) as file:
            for name in file.files:
                at, steps, number, weight = name.split("/", 3)
                looks.setdefault((at, int(steps), int(number)), {})[weight] = file[name]
    seen = []
    for (at, steps, number), changed in looks.items():
        bounds = told["bounds"] if at == WITHOUT_DROPOUT else in_loop(told)
        exact = _of_batches(request, number, steps) if at == END else _of_first(request, steps)
        shapes = ({name: array.shape for name, array in one.items()} for one in (changed, exact))
        if next(shapes) != next(shapes):
            raise ValueError("the weights that it kept are not those of the workload")
        wider = AT_THE_END_BESIDE_DROPOUT if "masks" in told else AT_THE_END
        compared = _compared(reference.numbers(changed, exact), bounds[str(steps)], wider if at == END else 1.0)
        seen.append({"at": at, "step": steps} | max(compared, key=_share))
    found: dict[str, Any] = {"story": seen}
    if fault := next((one for one in seen if _share(one) > 1), None):
        found |= {"status": "invalid", "reason": _told(fault)}
    return found, [] if seen else [NOT_TOLD]


def _of_first(request: Request, steps: int) -> Weights:
    """The reference's changes after so many of the first steps."""
    assert request.story, "it is asked for"
    prefix = f"{steps}/"
    with np.load(request.story, allow_pickle=False) as file:
        return {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}


def _of_batches(request: Request, number: int, steps: int) -> Weights:
    """The same of so many steps from the batch of this number on, or what comes out of that in inference."""
    workload, size = workloads.load(request.cell.workload), request.cell.batch_size
    weights = workload.initial_weights(request.protocol.seed)

    def batch(of: int) -> reference.Batch:
        return reference.batch(workload, Path(request.data), size, of, request.batches)

    if not workload.trains:
        samples = batch(number)[0][reference.places(size, request.protocol.seed)]
        return {OUTPUT: reference.outputs(workload, weights, samples)}
    batches = map(batch, range(number, number + steps))
    return reference.updates(certified(workload), weights, batches, (steps,))[steps]


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
        START: f"after the first {steps}",
        WITHOUT_DROPOUT: f"after the first {steps} without dropout",
        END: f"in {steps} after the timed ones",
    }[one["at"]]
    value = "no finite number" if one["value"] is None else f"{one['value']:.3g}"
    return (
        f"not the reference's work {when}: the {one['number']} of the change of {one['weight']} is {value}, expected "
        f"{one['expected']:.3g} to within {one['bound']:.2g}"
    )
