"""Faults to plant in a framework's model or adapter, one at a time, with the observations of each.

Run inside a framework's environment as `python -P planted.py FRAMEWORK FAULTS FOLDER…`. It reads, from each folder, the
existing problems <workload>.npz and the samples to learn from, <kind>.npz, and writes into it
<framework>/<workload>/<fault>.npz. FAULTS has one name a line, with or without `<workload>: ` before it; without any,
all known faults of the framework are planted, except those named after a `-`; `none` plants nothing. Every fault goes
through the real adapter: only the objects named in its patches are replaced.
"""

import dataclasses
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np

from framebench import frameworks, workloads
from framebench.certify import observe
from framebench.certify import problem as given
from framebench.frameworks._planting import Fault, Patch
from framebench.frameworks.contract import Framework
from framebench.plan import catalogue

THREADS = 2
NONE = "none"
IN_LESSON = "of the lesson"  # suffix of faults that are planted in learning alone


def faults(framework: str) -> Iterator[Fault]:
    """The faults that are planted in every framework, and then its own."""
    adapter: ModuleType = frameworks.load(framework)  # type: ignore[assignment]
    yield "article-cnn", NONE, []
    yield "vgg-cnn", NONE, []
    yield "gru-imdb", NONE, []
    yield "resnet50-features", NONE, []
    yield "article-cnn", "labels off by one", fed(adapter, labels=lambda labels: (labels + 1) % 10)
    yield "article-cnn", "BGR for RGB", fed(adapter, images=lambda images: images[..., ::-1].copy())
    yield "article-cnn", "a NaN among the images", fed(adapter, images=with_nan)
    if not framework.startswith("keras"):  # its own epsilon is elsewhere, and planted there
        yield "gru-imdb", "epsilon 1e-7", told(adapter, epsilon=1e-7)
    path = catalogue.folder(framework) / "faults.py"
    if not (catalogue.ROOT / path).is_file():
        return
    own = importlib.import_module(f"framebench.frameworks.{path.parent.name}.faults")
    if getattr(own, "LEARNS", False):
        yield "article-cnn", f"shuffled labels {IN_LESSON}", mistaught(adapter, labels=shuffled)
        yield "vgg-cnn", f"shuffled labels {IN_LESSON}", mistaught(adapter, labels=shuffled)
        yield "vgg-cnn", f"learning rate × 10 {IN_LESSON}", mistaught(adapter, rate=10)
    yield from own.faults(adapter)


def fed(
    adapter: ModuleType, images: Callable = lambda array: array, labels: Callable = lambda array: array
) -> list[Patch]:
    """An adapter that changes its training data."""
    feed = adapter.Trainer.feed

    def changed(self, x: np.ndarray, y: np.ndarray, input: str) -> None:
        feed(self, images(x), labels(y), input)

    return [(adapter.Trainer, "feed", changed)]


def told(adapter: ModuleType, **numbers: float) -> list[Patch]:
    """An adapter that replaces numbers of the spec's optimizer."""
    init = adapter.Trainer.__init__

    def built(self, workload, *others, **options) -> None:
        sgd = dataclasses.replace(workload.optimizer, **numbers)
        init(self, dataclasses.replace(workload, optimizer=sgd), *others, **options)

    return [(adapter.Trainer, "__init__", built)]


def mistaught(adapter: ModuleType, labels: Callable = lambda array: array, rate: float = 1) -> list[Patch]:
    """A correct adapter that learns from other labels or at a multiple of the rate."""
    init, feed = adapter.Trainer.__init__, adapter.Trainer.feed

    def built(self, workload, weights, batch_size, *others, **options) -> None:
        sgd = workload.optimizer
        if batch_size == given.LEARNING_BATCH_SIZE:
            sgd = dataclasses.replace(sgd, learning_rate=rate * sgd.learning_rate)
        init(self, dataclasses.replace(workload, optimizer=sgd), weights, batch_size, *others, **options)

    def fed(self, x: np.ndarray, y: np.ndarray, input: str) -> None:
        feed(self, x, labels(y) if self.batch_size == given.LEARNING_BATCH_SIZE else y, input)

    return [(adapter.Trainer, "__init__", built), (adapter.Trainer, "feed", fed)]


def shuffled(labels: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).permutation(labels)


def with_nan(images: np.ndarray) -> np.ndarray:
    images = images.copy()
    images[0, 0, 0, 0] = np.nan
    return images


def main() -> None:
    framework, names, *folders = sys.argv[1:]
    only = [name for name in names.splitlines() if not name.startswith("-")]
    left_out = [name.removeprefix("-") for name in names.splitlines() if name.startswith("-")]
    for folder in map(Path, folders):
        for workload, name, patches in faults(framework):
            called = {name, f"{workload}: {name}"}
            named = catalogue.takes_part(framework, workload) and (not only or called & set(only))
            if named and not called & set(left_out) and (folder / f"{workload}.npz").exists():
                facts, arrays = observed(framework, workload, name, patches, folder)
                observe.write(folder / framework / workload / f"{name}.npz", facts, arrays)


def observed(
    framework: str, workload: str, name: str, patches: list[Patch], folder: Path
) -> tuple[observe.Facts, dict[str, np.ndarray]]:
    """Observations of a fault, or the reason why it cannot be run."""
    learns = name == NONE or name.endswith(IN_LESSON)
    spec = workloads.load(workload)
    with ExitStack() as planted:
        for replaced in patches:
            planted.enter_context(patch.object(*replaced))
        try:
            return observe.observe(
                Framework(frameworks.load(framework), frameworks.inspector(framework)),
                spec,
                given.read_problem(folder / f"{workload}.npz"),
                given.lesson(spec, folder / f"{spec.data}.npz") if learns else None,
                THREADS,
            )
        except Exception as error:
            traceback.print_exc()
            return {"failed": observe.failure(workload, framework, error)}, {}


if __name__ == "__main__":
    main()
