"""The story of a block's first steps: the reference's training on the measured batches, in one file for all.

A certificate proves the function at a small batch; the story covers the measured one. The reference takes the first
training steps of a workload, at a batch size, on the data of its runs, and keeps the changes of the weights after some
of them; every run is compared with that (see `framebench.measure.story`). Two numbers compare an update u with the
reference's r, for each weight and for all together: its size |u| ÷ |r|, and its component along r, u·r ÷ |r|².

Bounds. Without dropout both are 1 but for rounding, and the relative distance |u − r| ÷ |r| follows from them. At a
real batch it is far larger than rounding itself: a few of millions of ReLUs and pooling windows take the other branch,
and each changes the gradient by its own share, whatever the size of the disturbance. So the reference takes the same
steps from weights that are displaced by a few roundings of the run's precision; the largest distance of any weight up
to a step, times SAFETY, is the bound of all weights after it. In a low precision that is wide; the component along the
reference in the change of all weights together is far less affected by rounding, and has a bound of its own.

With dropout every framework draws masks of its own. The reference draws some too, and keeps the mean of both numbers
and their scatter: for all weights together, and for the last biases, which hardly depend on the masks and show which
labels were seen. In the diagnosis of a run, such a net is looked at with its dropout off.
"""

import argparse
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from framebench import workloads
from framebench.certify import problem as given
from framebench.certify import reference
from framebench.certify.arithmetic import Arithmetic
from framebench.certify.differentiable import Arrays
from framebench.certify.observe import Facts, write
from framebench.data.batches import Batch, batch, read
from framebench.workloads.layers import Dropout, Workload

STEPS = (1, 2, 3, 5, 10)  # steps after which to look; the last is the most that a call of track `tuned` takes
ALL = "all weights"
AT_A_TIME = 16  # samples: a convolution's windows take nine times their memory, and should fit the caches
# Limit of the operations, and so of the steps, one at least: more of a large batch would hold up the campaign.
FLOPS = 7.5e10
DRAWS = 2  # draws of rounding
MASKS = 8  # draws of dropout
SAFETY = 6.0
# A number is further off the mean of 8 draws than this many of their standard deviations once in 10⁵ times (t, 7 df).
DEVIATIONS = 11.0
ACROSS = 8.0  # rounding moves an update across its direction at least so many times as far as along it
LEAST = 0.02  # the size of Adam's first changes does not depend on the masks
SAMPLES = 2  # samples of a batch that the reference takes through a net for inference; of the first one, as many as
FLOPS_OF_INFERENCE = 3e11  # this allows
# Relative displacement of the weights: in float32 as many roundings as a long sum has; in a lower precision two, as
# both factors of a product are rounded to it.
DISPLACED = {"float32": 16 * 2.0**-24, "tf32": 2 * 2.0**-11, "float16": 2 * 2.0**-11, "bfloat16": 2 * 2.0**-8}
# Displacement of an inner product x·y by itself, relative to |x|·|y|.
OF_A_PRODUCT = 0.25
EXACT = Arithmetic()

Numbers = dict[str, tuple[float, float]]  # weight or ALL → size, and component along the reference


def numbers(update: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]) -> Numbers:
    """Comparison of an update with the reference's, for each weight that the reference changed and for all together."""
    products = {
        name: tuple(
            float(np.vdot(one.astype(np.float64), other.astype(np.float64)))
            for one, other in ((update[name], update[name]), (update[name], array), (array, array))
        )
        for name, array in exact.items()
    }
    products[ALL] = tuple(map(sum, zip(*products.values(), strict=True)))  # type: ignore[assignment]
    return {name: ((uu / rr) ** 0.5, ur / rr) for name, (uu, ur, rr) in products.items() if rr}


def distance(size: float, along: float) -> float:
    """|u − r| ÷ |r|."""
    return abs(size**2 - 2 * along + 1) ** 0.5


def looked_after(workload: Workload, batch_size: int, every: bool) -> tuple[int, ...]:
    """The steps to look after: the first, and those of STEPS that FLOPS allow, or `every` one."""
    flops = batch_size * workload.flops_per_sample
    return tuple(k for k in STEPS if every or k == 1 or k * flops <= FLOPS)


def updates(
    workload: Workload,
    weights: Arrays,
    batches: Iterable[Batch],
    after: Collection[int],
    *,
    masks: np.random.Generator | None = None,
    arithmetic: Arithmetic = EXACT,
) -> dict[int, Arrays]:
    """Changes of the weights by the number of the step that they come `after`, in the type of the weights."""
    found: dict[int, Arrays] = {}

    def saw(k: int, loss: float, gradients: Arrays, moved: Arrays) -> None:
        if k in after:
            found[k] = {name: moved[name] - weights[name] for name in weights}

    steps = islice(batches, max(after))
    reference.train(workload, weights, steps, arithmetic, saw, dropout=masks, at_a_time=AT_A_TIME)
    return found


def outputs(workload: Workload, weights: Arrays, samples: np.ndarray) -> np.ndarray:
    """The outputs of a net for inference."""
    return reference.forward(workload, weights, samples, Arithmetic())[0]


def places(workload: Workload, batch_size: int, first: bool) -> list[int]:
    """The samples of a batch, the first one or a later one, that the reference takes through a net for inference.

    They are spread evenly; the last sample is one of them.
    """
    samples = max(SAMPLES, int(FLOPS_OF_INFERENCE // workload.flops_per_sample)) if first else SAMPLES
    return np.linspace(0, batch_size - 1, min(samples, batch_size)).round().astype(int).tolist()


def drops(workload: Workload) -> bool:
    """True where the net has dropout."""
    return any(isinstance(layer, Dropout) for layer in workload.layers)


def story(
    workload: Workload,
    weights: Arrays,
    of: Callable[[int], Batch],
    *,
    batch_size: int,
    precision: str,
    seed: int,
    every: bool = False,
) -> tuple[Facts, Arrays]:
    """The reference's facts, and its weight changes under `<step>/<weight>`; `of` gives a batch by its number.

    `bounds`  largest relative distance of any weight, without dropout, by step
    `along`   largest deviation from 1 along the reference, for all weights together, likewise
    `masks`   of a net with dropout: mean and bound of both numbers, by step and weight, or ALL

    The steps are `every` one of STEPS, or those that FLOPS allow.
    """
    if not workload.trains:
        samples = of(0)[0][places(workload, batch_size, first=True)]
        exact = outputs(workload, weights, samples)
        few = slice(SAMPLES)
        moved = (outputs(workload, displacement(weights, precision, draw), samples[few]) for draw in range(DRAWS))
        off = [distance(*numbers({ALL: one}, {ALL: exact[few]})[ALL]) for one in moved]
        return {"bounds": {"1": SAFETY * max(off)}}, {"1/outputs": exact}
    after = looked_after(workload, batch_size, every)
    batches = [of(number) for number in range(after[-1])]
    told = updates(workload, weights, batches, after)
    drawn = [displaced(workload, weights, batches, told, precision=precision, draw=draw) for draw in range(DRAWS)]
    facts: Facts = dict(zip(("bounds", "along"), of_rounding(drawn), strict=True))
    if drops(workload):
        at = (1, STEPS[-1]) if every else (1,)
        generators = [np.random.Generator(np.random.PCG64([seed, 4, draw])) for draw in range(MASKS)]
        draws = [updates(workload, weights, batches, at, masks=masks) for masks in generators]
        facts["masks"] = {str(k): of_masks([numbers(draw[k], told[k]) for draw in draws]) for k in at}
    return facts, {f"{k}/{name}": array for k in after for name, array in told[k].items()}


def displaced(
    workload: Workload,
    weights: Arrays,
    batches: Sequence[Batch],
    told: Mapping[int, Arrays],
    *,
    precision: str,
    draw: int,
    products: bool = False,
) -> dict[int, Numbers]:
    """Updates from displaced weights compared with those `told`, by the number of the step.

    With `products` every inner product is displaced by itself too: values of one pooling window share their weights,
    and which of them is the largest may depend on rounding alone.
    """
    arithmetic = EXACT
    if products:
        generator = np.random.Generator(np.random.PCG64([draw, 1]))
        arithmetic = Arithmetic(DISPLACED[precision], lambda terms: OF_A_PRODUCT, generator, elementary=0.0)
    weights = displacement(weights, precision, draw)
    moved = updates(workload, weights, batches, tuple(told), arithmetic=arithmetic)
    return {k: numbers(moved[k], exact) for k, exact in told.items()}


def of_rounding(drawn: Sequence[Mapping[int, Numbers]]) -> tuple[dict[str, float], dict[str, float]]:
    """Bounds of the distance, and of the deviation from 1 along the reference, from updates of displaced weights.

    By the number of the step, each at least as wide as those before it.
    """
    bounds, along, largest, furthest = {}, {}, 0.0, 0.0
    for k in drawn[0]:
        found = [one[k] for one in drawn]
        largest = max(largest, *(distance(*pair) for pair in chain.from_iterable(one.values() for one in found)))
        furthest = max(furthest, *(abs(one[ALL][1] - 1) for one in found))
        bounds[str(k)] = SAFETY * largest
        along[str(k)] = SAFETY * max(furthest, largest / ACROSS)
    return bounds, along


def displacement(weights: Arrays, precision: str, draw: int) -> Arrays:
    """The weights, each randomly displaced as far as rounding to a precision displaces it."""
    generator = np.random.Generator(np.random.PCG64(draw))
    by = np.float32(DISPLACED[precision])
    return {
        name: array * (1 + by * (2 * generator.random(array.shape, np.float32) - 1)) for name, array in weights.items()
    }


def of_masks(draws: list[Numbers]) -> dict[str, list[list[float]]]:
    """Mean and bound of both numbers from draws of masks, for all weights, and for the last biases if there are any."""
    *_, last = (ALL, *(name for name in draws[0] if name != ALL))
    return {
        name: [
            [mean(values), max(LEAST, DEVIATIONS * stdev(values))]
            for values in zip(*(draw[name] for draw in draws), strict=True)
        ]
        for name in {last, ALL}
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.certify.story", description=__doc__)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--precision", required=True, choices=list(DISPLACED))
    parser.add_argument("--seed", type=int, required=True, help="of the runs' initial weights")
    parser.add_argument(
        "--every", action="store_true", help="look after every step that a call of track tuned may take"
    )
    parser.add_argument("--data", type=Path, required=True, help="npz of the measured samples")
    parser.add_argument("--output", type=Path, required=True, metavar="STORY.npz")
    options = parser.parse_args()
    start = time.perf_counter()
    workload = workloads.load(options.workload)
    weights, size, data = workload.initial_weights(options.seed), options.batch_size, read(options.data)

    def of(number: int) -> Batch:
        return batch(workload, data, size, number)

    arrays: Arrays = {}
    try:
        facts, arrays = story(
            given.certified(workload),
            weights,
            of,
            batch_size=size,
            precision=options.precision,
            seed=options.seed,
            every=options.every,
        )
    except reference.ReferenceError as error:
        facts = {"failed": str(error)}
    facts["told_in_s"] = time.perf_counter() - start
    write(options.output, facts, arrays)


if __name__ == "__main__":
    main()
