"""Plants in the work of a framework: what is done otherwise, and where alone; each in certificate and run.

Run inside a framework's environment as `python -P planted_runs.py MODE FRAMEWORK FOLDER PLANT…`, a process for each
mode, in which the plants follow one another. `certificate`: reads the problem FOLDER/<workload>.npz and writes what is
observed into FOLDER/<framework>/<workload>/<plant>.npz. `run`: makes the run of FOLDER/request.json and writes its
fields into FOLDER/<framework>-<plant>.json. `list` prints the names of all plants.
"""

import dataclasses
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from planted import observed

from framebench import frameworks
from framebench.certify import observe
from framebench.frameworks._planting import Patch
from framebench.measure import story, worker
from framebench.measure.request import Request

NONE = "none"
LATER = 15  # steps of which the certificate and the first looks see none
SMALL = 16  # the largest batch that a certificate knows

Where = Callable[[Any], bool]  # of a trainer, which knows what it was built with and fed
WHERE: dict[str, Where] = {
    "everywhere": lambda trainer: True,
    "above batch 16": lambda trainer: trainer.batch_size > SMALL,
    "with input device": lambda trainer: trainer.planted["input"] == "device",
    "with input device above batch 16": lambda trainer: (
        trainer.planted["input"] == "device" and trainer.batch_size > SMALL
    ),
    "in float32 above batch 16": lambda trainer: (
        trainer.planted["precision"] == "float32" and trainer.batch_size > SMALL
    ),
}


def half_repeated(images: np.ndarray, labels: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Half of every batch, twice: (batches, batch size, …), from batch `first` on."""
    images, labels = images.copy(), labels.copy()
    half = images.shape[1] // 2
    images[first:, half : 2 * half], labels[first:, half : 2 * half] = images[first:, :half], labels[first:, :half]
    return images, labels


def first_again(images: np.ndarray, labels: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    places = np.arange(len(images)) % max(first, 10)
    return images[places], labels[places]


def labels_off(images: np.ndarray, labels: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    labels = labels.copy()
    labels[first:] = (labels[first:] + 1) % (labels.max() + 1)
    return images, labels


FED = {
    "half of the batch twice": half_repeated,
    "the first ten batches again": first_again,
    "labels off by one": labels_off,
}
BUILT: dict[str, Callable[[list], None]] = {
    "learning rate 3 % higher": lambda arguments: optimized(arguments, learning_rate=1.03),
    "no momentum": lambda arguments: optimized(arguments, momentum=0.0),
    "bfloat16": lambda arguments: arguments.__setitem__(4, "bfloat16"),
    "twice the threads": lambda arguments: arguments.__setitem__(3, 2 * arguments[3]),
}


def optimized(arguments: list, **factors: float) -> None:
    workload = arguments[0]
    numbers = {name: getattr(workload.optimizer, name) * factor for name, factor in factors.items()}
    arguments[0] = dataclasses.replace(workload, optimizer=dataclasses.replace(workload.optimizer, **numbers))


class Told:
    """A pace that is told of every step as of two, from some step on."""

    def __init__(self, pace: Any, first: int) -> None:
        self.pace, self.first, self.taken = pace, first, 0

    def over(self, synchronise: Callable, steps: int = 1) -> bool:
        self.taken += steps
        return self.pace.over(synchronise, 2 * steps if self.taken > self.first else steps)


class Frozen(Told):
    """A pace that puts back what every step has changed, from some step on."""

    def __init__(self, pace: Any, first: int, trainer: Any) -> None:
        super().__init__(pace, first)
        self.trainer, self.weights = trainer, None

    def over(self, synchronise: Callable, steps: int = 1) -> bool:
        self.taken += steps
        if self.taken > self.first:
            self.trainer.load(self.weights)
        else:
            self.weights = self.trainer.weights()
        return self.pace.over(synchronise, steps)


PACED = {
    "a step told as two": lambda pace, first, trainer: Told(pace, first),
    "no step kept": Frozen,
}


def plants(adapter: ModuleType) -> Iterator[tuple[str, list[Patch]]]:
    """Every plant by its name."""
    yield NONE, []
    for where, at in WHERE.items():
        # A trainer does not know its input before it is fed.
        for what in (*FED, *PACED) if "input" in where else (*FED, *BUILT, *PACED):
            yield f"{what}, {where}", patches(adapter, what, at)
    for what in (*FED, *PACED):
        yield f"{what}, from step {LATER} on", patches(adapter, what, WHERE["everywhere"], LATER)


def patches(adapter: ModuleType, what: str, at: Where, first: int = 0) -> list[Patch]:
    trainer = adapter.Trainer
    init, feed, train = trainer.__init__, trainer.feed, trainer.train

    def built(self, *given: Any, **options: Any) -> None:
        arguments = list(given)  # workload, weights, batch size, threads, precision
        self.batch_size, self.planted = arguments[2], {"precision": arguments[4], "input": None}
        if what in BUILT and at(self):
            BUILT[what](arguments)
        init(self, *arguments, **options)

    def fed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        self.planted["input"] = input
        if what in FED and at(self):
            size = self.batch_size
            batches = images.reshape(-1, size, *images.shape[1:]), labels.reshape(-1, size)
            changed = FED[what](*batches, first)
            images, labels = changed[0].reshape(images.shape), changed[1].reshape(labels.shape)
        feed(self, images, labels, input)

    def trained(self, pace: Any) -> None:
        train(self, PACED[what](pace, first, self) if what in PACED and at(self) else pace)

    return [(trainer, "__init__", built), (trainer, "feed", fed), (trainer, "train", trained)]


class Turns:
    """One turn for all blocks."""

    given = False

    def wait(self, state: str) -> int:
        self.given, before = state != "built", self.given
        return 0 if before else 3


def run(request: Request, kept: Path) -> dict[str, Any]:
    """Record fields of the run, as the measuring process leaves them, and as they are judged."""
    seen: dict[str, Any] = {"status": "ok", "flags": []}
    try:
        worker.observe(request, Turns(), seen, kept)  # type: ignore[arg-type]
    except Exception as error:
        traceback.print_exc()
        return seen | {"status": "failed", "reason": str(error)}
    return seen | story.judged(request, kept)[0] if seen["status"] == "ok" else seen


def main() -> None:
    mode, framework, *others = sys.argv[1:]
    adapter: Any = frameworks.load(framework)
    if mode == "list":
        print("\n".join(name for name, _ in plants(adapter)))
        return
    folder, only = Path(others[0]), others[1:]
    request = Request.from_json((folder / "request.json").read_text())
    workload = request.cell.workload
    for name, changes in plants(adapter):
        if only and name not in only:
            continue
        if mode == "certificate":
            facts, arrays = observed(framework, workload, name, changes, folder)
            observe.write(folder / framework / workload / f"{name}.npz", facts, arrays)
            continue
        with ExitStack() as planted:
            for replaced in changes:
                planted.enter_context(patch.object(*replaced))
            found = run(request, folder / story.FOLDER)
        (folder / f"{framework}-{name}.json").write_text(json.dumps(found, default=float))


if __name__ == "__main__":
    main()
