"""The first training steps of a user's files at a measured batch size, in float64: the reference for every run.

Each file's steps are computed on the data of the runs, from the weights that the proof has given both. Bounds are as in
`framebench.certify.story`; besides the weights, the result of every operation is displaced. Weights whose change
rounding alone decides, such as a bias before a norm, are left out.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from framebench.certify import story
from framebench.certify.observe import write
from framebench.data.batches import batch, read
from framebench.prove.inside.answering import answer_requests
from framebench.prove.inside.drawing import SAMPLES
from framebench.prove.inside.draws import shared
from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.pair import channels_first
from framebench.prove.inside.pytorch_side import PyTorchSide
from framebench.prove.inside.side import kept
from framebench.prove.inside.training import Batch, Displaced, KerasTraining, Problem, PyTorchTraining
from framebench.workloads.layers import OF_PYTORCH, STATISTICS
from framebench.workloads.loading import UserError
from framebench.workloads.own import Own

DRAWS = 4  # of rounding
LEAST_STEPS = 2  # the sizes of Adam's first change are the same for any gradients
# As many steps as fit into this time: they are repeated with each draw, where every operation is slower.
STEPS_S = 3.0
SIDES: dict[str, type[KerasSide] | type[PyTorchSide]] = {"keras": KerasSide, "pytorch": PyTorchSide}
APART = 1e-3  # relative: far above rounding in float64, and below any other work
UNDECIDED = 0.5  # relative distance: six times that would be no bound
Training = KerasTraining | PyTorchTraining
Changes = dict[int, story.Arrays]  # by the number of a step


class Never(dict):
    """Rates of dropouts: none drops."""

    def get(self, place: int, default: float) -> float:  # type: ignore[override]
        return 0.0


class Regularized(KerasTraining):
    """The loss, with the losses that Keras adds for regularizers, as in `fit`."""

    def loss(self, batch: Batch, training: bool) -> tuple[torch.Tensor, torch.Tensor]:
        logits, loss = super().loss(batch, training)
        return logits, sum(self.side.model.losses, start=loss) if training else loss


def begun(side: KerasSide | PyTorchSide, problem: Problem, start: Mapping[str, np.ndarray]) -> Training:
    """A side with these weights and a fresh optimizer."""
    training = Regularized(side, problem) if isinstance(side, KerasSide) else PyTorchTraining(side, problem)
    with torch.no_grad():
        for name, one in side.named:
            one.copy_(torch.from_numpy(start[name]))
    return training


def changes(training: Training, batches: list[Batch], after: tuple[int, ...]) -> Changes:
    """By the number of a step, the change of every weight `after` it."""
    before = {name: one.detach().clone() for name, one in training.side.named}
    found: Changes = {}
    for step, one in enumerate(batches, 1):
        training.learn(one)
        if step in after:
            now = dict(training.side.named)
            found[step] = {name: (now[name] - before[name]).detach().numpy().copy() for name in before}
    return found


def told(workload: Own, request: Mapping[str, Any]) -> tuple[story.Facts, story.Arrays]:
    """Facts and arrays of both files, in the form of `framebench.certify.story.story`."""
    torch.set_num_threads(request["threads"])
    torch.manual_seed(0)
    data, size, precision = read(Path(request["data"])), request["batch_size"], request["precision"]
    after = story.looked_after(workload, size, every=True)
    batches = [typed(workload, *batch(workload, data, size, number)) for number in range(after[-1])]
    problem = Problem.of(request)
    start = workload.initial_weights(0)
    facts: story.Facts = {"bounds": {}, "along": {}}
    arrays: story.Arrays = {}
    drawn: list[dict[int, story.Numbers]] = [{} for _ in range(DRAWS)]
    sizes: list[np.ndarray] = []
    if not request["every"]:
        step_s = time_of_a_step(next(sides(request, batches[0])), problem, start, batches[0])
        after = tuple(k for k in after if k <= LEAST_STEPS or k * step_s <= STEPS_S)
        batches = batches[: after[-1]]
    for side in sides(request, batches[0]):
        with kept(side), shared(Never()) as draws:
            exact = changes(begun(side, problem, start), batches, after)
        drops = bool(draws.calls or draws.others)
        sizes.append(sorted_sizes(exact[after[-1]]))
        moved = []
        for draw in range(DRAWS):
            displaced = story.displacement(start, precision, draw)
            with kept(side), shared(Never()), Displaced(story.DISPLACED[precision] / 16, growing=False, seed=draw):
                moved.append(changes(begun(side, problem, displaced), batches, after))
        for k in after:
            seen = [story.numbers(one[k], exact[k]) for one in moved]
            decided = [
                name
                for name in seen[0]
                if name != story.ALL and max(story.distance(*one[name]) for one in seen) < UNDECIDED
            ]
            if not decided:
                break
            exact[k] = {name: exact[k][name] for name in decided}
            for seen_so_far, one in zip(drawn, moved, strict=True):
                of_both = seen_so_far.setdefault(k, {})
                of_side = story.numbers(one[k], exact[k])
                of_all = max(of_side[story.ALL], of_both.get(story.ALL, (1.0, 1.0)), key=lambda pair: abs(pair[1] - 1))
                of_both |= of_side | {story.ALL: of_all}
            arrays |= {f"{k}/{name}": array for name, array in exact[k].items()}
        if drops:
            masks = []
            for _ in range(story.MASKS):
                with kept(side), shared({}, own=True):
                    masks.append(changes(begun(side, problem, start), batches[:1], (1,))[1])
            numbers = [{story.ALL: story.numbers(one, exact[1])[story.ALL]} for one in masks]
            facts["masks"] = {"1": story.of_masks(numbers)}
    if workload.alike and (difference := distance(*sizes)) > APART:
        raise UserError(
            f"{request['keras']['file']} and {request['pytorch']['file']} train differently at batch size {size},"
            f" though the proof at {SAMPLES} samples says that they do not: after {after[-1]} steps their changes are"
            f" {difference:.2g} apart, where {APART:g} is allowed"
        )
    if "masks" not in facts:
        facts["bounds"], facts["along"] = story.of_rounding(drawn)
    return facts, arrays


def time_of_a_step(side: KerasSide | PyTorchSide, problem: Problem, start: story.Arrays, batch: Batch) -> float:
    """Seconds of the first step of a side."""
    began_s = time.perf_counter()
    with kept(side), shared(Never()):
        changes(begun(side, problem, start), [batch], (1,))
    return time.perf_counter() - began_s


def sorted_sizes(changed: story.Arrays) -> np.ndarray:
    """The distance that each trained number has moved, in descending order: the same for two files of any layouts."""
    trained = [array for name, array in changed.items() if not name.endswith((*STATISTICS, *OF_PYTORCH))]
    return np.sort(np.abs(np.concatenate([array.ravel() for array in trained])))[::-1]


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Relative; a number that only one has, such as a bias that stays 0, counts as 0 in the other."""
    length = max(len(one), len(other))
    one, other = (np.pad(array, (0, length - len(array))) for array in (one, other))
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def typed(workload: Own, inputs: np.ndarray, targets: np.ndarray) -> Batch:
    """A batch in the layout of each framework, floats in float64."""
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
    both = Batch((x, channels_first(x)), (y, y if workload.classifies else channels_first(y)))
    return both.typed(torch.float64)


def sides(request: Mapping[str, Any], first: Batch) -> Iterator[KerasSide | PyTorchSide]:
    """The models of the files that are present."""
    for place, (name, side) in enumerate(SIDES.items()):
        if name in request:
            path = Path(request["folder"], request[name]["file"])
            yield side(path, request[name]["function"], "float64", first.inputs[place])


def tell(request: dict[str, Any]) -> dict[str, Any]:
    """Write the requested story; the answer is empty."""
    start = time.perf_counter()
    facts, arrays = told(Own.of(request["name"], {"asked": request, "told": request["told"]}), request)
    facts["told_in_s"] = time.perf_counter() - start
    write(Path(request["output"]), facts, arrays)
    return {}


if __name__ == "__main__":
    answer_requests(tell)
