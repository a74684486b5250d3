"""The batches of a run from the file of its samples: all of them in a framework's form, or one by its number."""

from pathlib import Path

import numpy as np

from framebench.workloads.layers import Workload

Batch = tuple[np.ndarray, np.ndarray]


def read(path: Path) -> Batch:
    """All samples and labels of the file."""
    with np.load(path, allow_pickle=False) as file:
        return file["samples"], file["labels"]


def whole_batches(workload: Workload, path: Path, batch_size: int, batches: int | None = None) -> Batch:
    """Samples and labels in the workload's form, (n, …), n cut to whole batches.

    Where the samples do not fill a number of `batches`, the first ones are repeated.
    """
    samples, labels = read(path)
    places = np.arange(batch_size * (batches or len(labels) // batch_size)) % len(labels)
    return workload.samples(samples[places]), workload.targets(labels[places])


def batch(workload: Workload, data: Batch, batch_size: int, number: int, batches: int | None = None) -> Batch:
    """Samples and labels of a batch by its number from 0, modulo `batches` (None: as many as `data` fill).

    `data`: the arrays from `read`.
    """
    samples, labels = data
    number %= batches or len(labels) // batch_size
    places = np.arange(number * batch_size, (number + 1) * batch_size) % len(labels)
    return workload.samples(samples[places]), workload.targets(labels[places])
