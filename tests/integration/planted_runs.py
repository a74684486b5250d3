"""Faults planted in the work of a framework: a change and its conditions; each in certificate and run.

Run inside a framework's environment as `python -P planted_runs.py MODE FRAMEWORK FOLDER [--few] PLANT…`, a process for
each mode, in which the plants follow one another; `--few`: only those of the workload's published cell. `certificate`:
reads the problem FOLDER/<workload>.npz and writes the observations into FOLDER/<framework>/<workload>/<plant>.npz.
`run`: makes the run of FOLDER/request.json, or of another cell where the plant is in that alone, and writes its fields
into FOLDER/<framework>-<plant>.json.
"""

import dataclasses
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from planted import IN_LESSON, faults, observed

from framebench import frameworks, workloads
from framebench.certify import observe
from framebench.frameworks._planting import Patch
from framebench.measure import ceiling, story, worker
from framebench.measure.request import Request
from framebench.workloads.layers import Workload

NONE = "none"
TEN_AGAIN = "the first ten batches again"
TAUGHT = "article-cnn"  # the others have no lesson here, as it takes long
LATER = 15  # steps beyond the certificate and the first looks
SMALL = 16  # the largest batch of a certificate
# Conditions of a plant: a cell with these differences from the published one, a batch size, a step.
CELLS: dict[str, dict[str, str]] = {
    "": {},
    "with input host": {"input": "host"},
    "in bfloat16": {"precision": "bfloat16"},
    "on track tuned": {"track": "tuned"},
}
SIZES = {"": 1, f"above batch {SMALL}": SMALL + 1}
STEPS = {"": 0, f"from step {LATER} on": LATER}
# Settings of track `tuned` that take no minute to compile.
TUNING = {"channels_last": True, "steps_per_call": 10, "steps_per_execution": 10}


@dataclasses.dataclass(frozen=True)
class Where:
    """Conditions of a plant, in words, with the run that looks for it."""

    words: str
    cell: dict[str, str]
    smallest: int  # batch size
    first: int  # step

    def holds(self, trainer: Any) -> bool:
        """True where this trainer, by its arguments and data, is to do different work."""
        return trainer.batch_size >= self.smallest and self.cell.items() <= trainer.planted.items()


def wheres() -> Iterator[Where]:
    """Every combination."""
    for (cell, changes), (size, smallest), (step, first) in product(CELLS.items(), SIZES.items(), STEPS.items()):
        yield Where(" ".join(filter(None, (size, cell, step))) or "everywhere", changes, smallest, first)


def half_repeated(images: np.ndarray, labels: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Half of every batch, twice: (batches, batch size, …), from batch `first` on."""
    images, labels = images.copy(), labels.copy()
    half = images.shape[1] // 2
    images[first:, half : 2 * half], labels[first:, half : 2 * half] = images[first:, :half], labels[first:, :half]
    return images, labels


def first_again(images: np.ndarray, labels: np.ndarray, first: int, of: int) -> tuple[np.ndarray, np.ndarray]:
    places = np.arange(len(images)) % max(first, of)
    return images[places], labels[places]


def labels_off(images: np.ndarray, labels: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    labels = labels.copy()
    labels[first:] = (labels[first:] + 1) % (labels.max() + 1)
    return images, labels


def twice_the_threads(arguments: list) -> None:
    arguments[3] *= 2


def optimized(arguments: list, **factors: float) -> None:
    workload = arguments[0]
    numbers = {
        name: getattr(workload.optimizer, name) * factor
        for name, factor in factors.items()
        if hasattr(workload.optimizer, name)
    }
    arguments[0] = dataclasses.replace(workload, optimizer=dataclasses.replace(workload.optimizer, **numbers))


class Told:
    """A pace that counts every step as two, from some step on."""

    def __init__(self, pace: Any, trainer: Any, first: int) -> None:
        self.pace, self.first, self.taken = pace, first, 0

    def over(self, synchronise: Callable, steps: int = 1) -> bool:
        self.taken += steps
        return self.pace.over(synchronise, 2 * steps if self.taken > self.first else steps)


class Frozen(Told):
    """A pace that undoes every step, from some step on."""

    def __init__(self, pace: Any, trainer: Any, first: int) -> None:
        super().__init__(pace, trainer, first)
        self.trainer, self.weights = trainer, trainer.weights()

    def over(self, synchronise: Callable, steps: int = 1) -> bool:
        self.taken += steps
        if self.taken > self.first:
            self.trainer.load(self.weights)
        else:
            self.weights = self.trainer.weights()
        return self.pace.over(synchronise, steps)


class EverySecond(Frozen):
    """A pace that undoes every second step, from some step on."""

    def over(self, synchronise: Callable, steps: int = 1) -> bool:
        if (self.taken // steps) % 2:
            return super().over(synchronise, steps)
        self.taken += steps
        self.weights = self.trainer.weights()
        return self.pace.over(synchronise, steps)


@dataclasses.dataclass(frozen=True)
class What:
    """A change of the work, and the moment when it is decided."""

    when: str  # when it is `built`, has `become` so, is `fed`, or is `paced`
    change: Callable
    also_in_inference: bool = False


def faults_of(framework: str) -> Any:
    """The module of a framework's own faults."""
    return importlib.import_module(f"framebench.frameworks.{framework.replace('-', '_')}.faults")


def whats(framework: str) -> dict[str, What]:
    """All of them by name."""
    more_work = faults_of(framework).more_work
    return {
        "bfloat16": What("built", lambda arguments: arguments.__setitem__(4, "bfloat16"), also_in_inference=True),
        "twice the threads": What("built", twice_the_threads, also_in_inference=True),
        "learning rate 20 % higher": What("built", partial(optimized, learning_rate=1.2)),
        "no momentum": What("built", partial(optimized, momentum=0.0, beta_1=0.0)),
        "a product times zero": What("become", more_work),
        "half of the batch twice": What("fed", half_repeated, also_in_inference=True),
        TEN_AGAIN: What("fed", partial(first_again, of=10)),
        "the first three batches again": What("fed", partial(first_again, of=3), also_in_inference=True),
        "labels off by one": What("fed", labels_off),
        "a step told as two": What("paced", Told, also_in_inference=True),
        "no step kept": What("paced", Frozen),
        "every second step not kept": What("paced", EverySecond),
    }


def plants(framework: str, workload: Workload, few: bool = False) -> Iterator[tuple[str, Where, list[Patch]]]:
    """Every plant by its name; `few`: changes of the work only above batch 16 in the published cell."""
    adapter: Any = frameworks.load(framework)
    own = faults_of(framework)
    everywhere = next(wheres())
    for of, name, changes in faults(framework):
        named = {name, f"{of}: {name}"} & set(getattr(own, "IN_TABLE", {name}))
        taught = name.endswith(IN_LESSON) and workload.name != TAUGHT
        if of == workload.name and named and name != NONE and not taught:
            yield name, everywhere, changes
    trains = workload.trains
    for where in wheres():
        offered = where.cell.get("track", "default") in adapter.TRACKS
        if not offered or (where.cell and (few or not trains)):
            continue
        if where.smallest == 1 and not where.first:
            yield f"{NONE}, {where.words}" if where.cell else NONE, where, []
        # A run of inference is short: a step takes as long as fifty of a small net that trains.
        if (few and (where.smallest == 1 or where.first)) or (where.first and not trains):
            continue
        for name, what in whats(framework).items():
            # A trainer is built before it knows its input, and with all that it has from the first step on.
            early = what.when in ("built", "become") and (where.first or "input" in where.cell)
            same = name == where.cell.get("precision")
            too_late = few and name == TEN_AGAIN
            if not (early or same or too_late) and (trains or what.also_in_inference):
                yield f"{name}, {where.words}", where, patches(adapter, what, where)


def patches(adapter: ModuleType, what: What, where: Where) -> list[Patch]:
    """Changes of an adapter's trainer, so that its work differs under the conditions."""
    trainer, change = adapter.Trainer, what.change
    init, feed, train, infer = trainer.__init__, trainer.feed, trainer.train, trainer.infer

    def now(self: Any, when: str) -> bool:
        return what.when == when and where.holds(self)

    def built(self: Any, *given: Any, **options: Any) -> None:
        arguments = list(given)  # workload, weights, batch size, threads, precision
        self.batch_size = arguments[2]
        self.planted = {"precision": arguments[4], "track": "tuned" if options.get("tuning") else "default"}
        if now(self, "built"):
            change(arguments)
        init(self, *arguments, **options)
        if now(self, "become"):
            change(self)

    def fed(self: Any, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        self.planted["input"] = input
        if now(self, "fed"):
            size = self.batch_size
            batches = images.reshape(-1, size, *images.shape[1:]), labels.reshape(-1, size)
            changed = change(*batches, where.first)
            images, labels = changed[0].reshape(images.shape), changed[1].reshape(labels.shape)
        feed(self, images, labels, input)

    def trained(self: Any, pace: Any) -> None:
        train(self, change(pace, self, where.first) if now(self, "paced") else pace)

    def inferred(self: Any, pace: Any, take: Callable) -> None:
        infer(self, change(pace, self, where.first) if now(self, "paced") else pace, take)

    changed = {"__init__": built, "feed": fed, "train": trained, "infer": inferred}
    return [(trainer, name, method) for name, method in changed.items()]


class Turns:
    """Turns of a block each, as beside other processes."""

    left = 3

    def wait(self, state: str) -> int:
        if state == "built":
            return 1
        self.left -= 1
        return self.left >= 0


def run(request: Request, kept: Path) -> dict[str, Any]:
    """Record fields of the run, as the measuring process leaves them, and as they are judged."""
    seen: dict[str, Any] = {"status": "ok", "flags": []}
    try:
        # The ceilings of the device do not depend on the work, and take the longest.
        with patch.object(ceiling, "measured", lambda *_: {}):
            worker.observe(request, Turns(), seen, kept)  # type: ignore[arg-type]
    except Exception as error:
        traceback.print_exc()
        return seen | {"status": "failed", "reason": str(error)}
    return seen | story.judged(request, kept)[0] if seen["status"] == "ok" else seen


def of_cell(request: Request, changes: dict[str, str], offered: dict[str, Any]) -> Request:
    """The request for a run of another cell, whose story is in the file of its precision."""
    cell = dataclasses.replace(request.cell, **changes)
    assert request.story
    told = Path(request.story).with_name(f"story-{cell.precision}.npz")
    tuning = {name: value for name, value in TUNING.items() if name in offered} if cell.track == "tuned" else {}
    return dataclasses.replace(request, cell=cell, story=str(told), tuning=tuning)


def main() -> None:
    mode, framework, place, *others = sys.argv[1:]
    folder, only = Path(place), [name for name in others if name != "--few"]
    request = Request.from_json((folder / "request.json").read_text(encoding="utf-8"))
    workload = request.cell.workload
    adapter: Any = frameworks.load(framework)
    offered = getattr(adapter, "OPTIONS", {}).get("cpu", {})
    for name, where, changes in plants(framework, workloads.load(workload), "--few" in others):
        if only and name not in only:
            continue
        if mode == "certificate":
            if where.smallest > 1 or (where.cell and not changes):
                continue  # its batches are smaller, or its cell another: nothing is planted there
            facts, arrays = observed(framework, workload, name, changes, folder)
            observe.write(folder / framework / workload / f"{name}.npz", facts, arrays)
            continue
        with ExitStack() as planted:
            for replaced in changes:
                planted.enter_context(patch.object(*replaced))
            found = run(of_cell(request, where.cell, offered), folder / f"{framework} {name}")
        (folder / f"{framework}-{name}.json").write_text(json.dumps(found, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
