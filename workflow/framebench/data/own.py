"""Samples for a user's own model, drawn as in a proof: `python -m framebench.data.own --help`."""

import argparse
from pathlib import Path

import numpy as np

from framebench import workloads
from framebench.data.command import write
from framebench.workloads.own import Own

BATCHES = 10  # batches of the largest batch size: one per step of a story
MOST_BYTES = 2**28  # of samples, but at least one batch


def samples(workload: Own, batch_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets (n, …) in Keras's layout: floats are normal, tokens and classes equally frequent.

    n: ten batches of this size, or as many whole ones as 256 MiB hold.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    asked, target = workload.asked["input"], workload.asked["target"]
    size = 8 * int(np.prod(asked["shape"]))
    count = batch_size * max(1, min(BATCHES, MOST_BYTES // (size * batch_size)))
    shape = (count, *asked["shape"])
    if workload.tokens:
        x: np.ndarray = generator.integers(0, workload.tokens, shape).astype(asked["type"])
    else:
        x = generator.standard_normal(shape, np.float32)
    shape = (count, *target.get("shape", ()))
    if workload.classifies:
        return x, generator.integers(0, target["classes"], shape)
    if workload.loss == "binary_cross_entropy":
        return x, generator.integers(0, 2, shape).astype(np.float32)
    return x, generator.standard_normal(shape, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.data.own", description=__doc__)
    parser.add_argument("--model", required=True, help="its name in `models` of the configuration")
    parser.add_argument("--batch-size", required=True, type=int, help="the largest measured one")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--output", required=True, type=Path, metavar="FILE.npz")
    options = parser.parse_args()
    workload = workloads.load(options.model)
    assert isinstance(workload, Own), "others have samples of their own"
    write(options.output, *samples(workload, options.batch_size, options.seed))


if __name__ == "__main__":
    main()
