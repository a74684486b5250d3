"""The reference's values of a workload, and how far rounding may move them: one file for all frameworks.

Bounds. Each quantity is computed once exactly (in float64, whose rounding the float64 bounds hold) and DRAWS times with
every operation displaced as rounding can displace it (`Arithmetic`); the bound is the largest relative distance among
the displaced results. So it includes the amplification of a rounding error by the depth of the net, cancellation and
the optimizer's steps; only the size of a single rounding error is set by hand:

float64: n·u for an inner product of n terms, u = 2⁻⁵³: the worst case, which real sums stay far below. Even so the
bounds are near 10⁻¹², and the relevant faults far above: a learning rate 1 % off moves every update by 10⁻², a weight
decay of 10⁻⁴ by about 10⁻³.

float32: the worst case would be too wide. The rounding errors of a sum of n terms of both signs add up to about 1·u
|x|·|y|, whatever n is, as its partial sums are only √n large (Higham & Mary, A new approach to probabilistic rounding
error analysis, 2019); 8·u is taken, u = 2⁻²⁴. This bound is still below the error of the next coarser arithmetic, which
therefore cannot pass for float32: TF32 rounds the factors to 2⁻¹¹, which moves the sum by about 2⁻¹¹ |x|·|y| / √n, for
the longest sum of the present nets (n = 6400) by 100·u.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from framebench import workloads
from framebench.certify import problem as given
from framebench.certify import reference
from framebench.certify.arithmetic import Arithmetic
from framebench.certify.differentiable import Arrays
from framebench.certify.observe import Facts, write
from framebench.certify.problem import SNAPSHOTS, Problem
from framebench.workloads.layers import Workload

DRAWS = 2
ROUNDING: dict[str, tuple[float, Callable[[int], float]]] = {
    "float64": (2.0**-53, float),
    "float32": (2.0**-24, lambda terms: 8.0),
}


def choose(workload: Workload, seed: int) -> Problem:
    """A problem whose every step keeps away from the kinks of ReLUs and max-pools, on the reference's path.

    At a kink, rounding decides which branch is taken, and the gradients of the two branches differ by far more than
    rounding: a correct float32 run would be refused. So each step takes those of the drawn images whose nearest kink is
    furthest away, in units of the float32 displacement there. (Real images would not do: a pooling window can hold two
    equal multiples of 1/255.)
    """
    weights, images, labels = given.drawn(workload, seed)
    if not workload.trains:
        # Only the gradient jumps at a kink, and inference has none.
        return Problem(weights, np.concatenate(images), np.concatenate(labels))
    chosen = []
    now = {name: array.astype(np.float64) for name, array in weights.items()}

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for candidates, theirs in zip(images, labels, strict=True):
            typed = given.typed(candidates, "float64")
            best = np.argsort(-margins(workload, now, typed), kind="stable")[: given.BATCH_SIZE]
            chosen.append((candidates[best], theirs[best]))
            yield typed[best], theirs[best]

    reference.train(workload, now, batches(), Arithmetic(), lambda k, loss, gradients, moved: now.update(moved))
    return Problem(weights, *(np.concatenate(arrays) for arrays in zip(*chosen, strict=True)))


def margins(workload: Workload, weights: Arrays, images: np.ndarray) -> np.ndarray:
    """Distance of each sample to its nearest kink, in standard deviations of the float32 displacement."""
    generator = np.random.Generator(np.random.PCG64(0))
    exact: list[np.ndarray] = []
    displaced: list[np.ndarray] = []
    reference.forward(workload, weights, images, Arithmetic(), kinks=exact)
    reference.forward(workload, weights, images, Arithmetic(*ROUNDING["float32"], generator), kinks=displaced)
    nearest = [np.full(len(images), np.inf)]  # a net without kinks
    for here, there in zip(exact, displaced, strict=True):
        finite = np.isfinite(here) & np.isfinite(there)
        noise = np.sqrt(np.mean((there[finite] - here[finite]) ** 2))
        nearest.append(here.reshape(len(images), -1).min(axis=1) / noise)
    return np.min(nearest, axis=0)


def quantities(workload: Workload, problem: Problem, arithmetic: Arithmetic) -> Arrays:
    """The arrays named by `problem.quantities`, float64."""
    weights = {name: array.astype(np.float64) for name, array in problem.weights.items()}
    images = given.typed(problem.images, "float64")
    reaching: Arrays = {}
    reference.forward(workload, weights, images[:1], arithmetic, inputs=reaching)
    found = {given.reaching(layer): array for layer, array in reaching.items()}
    logits, _ = reference.forward(workload, weights, images, arithmetic)
    if not workload.trains:
        return found | {"evaluation output": logits, "output": logits}
    # A loss per batch: the noise of a single one may happen to be almost nothing, and so would be its bound.
    places = range(0, len(images), given.BATCH_SIZE)
    evaluated = [
        reference.cross_entropy(logits[i : i + given.BATCH_SIZE], problem.labels[i : i + given.BATCH_SIZE], arithmetic)[
            0
        ]
        for i in places
    ]
    found |= {"evaluation logits": logits, "evaluation loss": np.array(evaluated)}
    losses = []

    def saw(step: int, loss: float, gradients: Arrays, moved: Arrays) -> None:
        losses.append(loss)
        if step == 1:
            found.update({f"gradient/{name}": array for name, array in gradients.items()})
        if step in SNAPSHOTS:
            found.update({f"{given.update(step)}/{name}": moved[name] - weights[name] for name in moved})

    reference.train(workload, weights, problem.batches("float64"), arithmetic, saw)
    return found | {"training loss": np.array(losses)}


def bounds(workload: Workload, problem: Problem, exact: Arrays) -> dict[str, dict[str, float]]:
    """Precision → quantity → the largest relative distance that rounding explains."""

    def distances(rounding: tuple[float, Callable[[int], float]], draw: int) -> dict[str, float]:
        arithmetic = Arithmetic(*rounding, np.random.Generator(np.random.PCG64(draw)))
        displaced = quantities(workload, problem, arithmetic)
        return {name: distance(displaced[name], array) for name, array in exact.items()}

    found = {}
    for precision, rounding in ROUNDING.items():
        draws = [distances(rounding, draw) for draw in range(DRAWS)]
        found[precision] = {name: max(draw[name] for draw in draws) for name in exact}
    return found


def distance(array: np.ndarray, exact: np.ndarray) -> float:
    """Euclidean norm of the difference, relative to that of the exact array; nan where either has one."""
    return float(np.linalg.norm(array - exact) / np.linalg.norm(exact))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.certify.expected", description=__doc__)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, metavar="PROBLEM.npz")
    options = parser.parse_args()
    start = time.perf_counter()
    facts: Facts = {"seed": options.seed}
    problem = Problem({}, np.empty(0), np.empty(0))
    exact: Arrays = {}
    try:
        workload = given.certified(workloads.load(options.workload))
        problem = choose(workload, options.seed)
        exact = quantities(workload, problem, Arithmetic())
        facts["bounds"] = bounds(workload, problem, exact)
    except reference.ReferenceError as error:
        facts["failed"] = str(error)
    facts["expected_in_s"] = time.perf_counter() - start
    # Large for a large net (100 MB), but recomputing it for every framework takes far longer than reading it.
    write(options.output, facts, problem.arrays | {f"{given.EXPECTED}{name}": array for name, array in exact.items()})


if __name__ == "__main__":
    main()
