"""Looks at a run, in its process: changes of its weights, kept for comparison with the reference (measure/story.py).

All runs of a block begin with the same weights and see the same batches in the same order. After some of the first
steps a run keeps the changes of its weights. Later, between its turns and after its timed blocks, it restores the
initial weights and a fresh optimizer within the same loop, and keeps the changes of the next step. These changes show
that the timed program is still the same one. They depend on the batches that are due, so they also show that as many
steps were taken as the clock has counted.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from framebench.certify import story as reference
from framebench.frameworks.contract import Trainer, Weights
from framebench.measure.request import Request
from framebench.measure.story import LATER, OUTPUT, START, WITHOUT_DROPOUT, facts, in_loop
from framebench.workloads.layers import Workload
from framebench.workloads.own import Own

MOST = 8  # looks after the first steps of a run, as far as FLOPS allow
AT_THE_END = 3  # looks of the same kind after the timed blocks
APART, APART_S = 16, 0.1  # most steps, and most time, between two looks
# Limit of the reference's work, which is done for each run by itself. One look may take more than all looks of a series
# together, and more still in a run with a diagnosis, which few have: ten steps at once of a large net.
FLOPS = 4e9
FLOPS_OF_ONE = 1e11
FLOPS_OF_INFERENCE = 1e11  # all looks at an inference net; the six at ResNet-50 take this
FLOPS_OF_A_DIAGNOSIS = 3e11


class Looks:
    """The looks at one run. A `Pace` says when to look; the findings are written into files of a folder."""

    def __init__(
        self,
        trainer: Trainer,
        request: Request,
        workload: Workload,
        *,
        weights: Weights,
        outputs: Sequence[np.ndarray],
        folder: Path,
    ) -> None:
        """`weights`: the initial ones; `outputs`: those of the last batch in inference; `folder`: a new one."""
        folder.mkdir()
        self._facts = facts(request)
        self._trainer, self._request, self._workload, self._weights = trainer, request, workload, weights
        self._outputs, self._trained, self._folder = outputs, weights, folder
        self._taken, self._at_once, self._kept = 0, 1, 0
        self.looked_s = 0.0
        self.after = tuple(map(int, in_loop(self._facts)))

    def look(self, steps: int) -> None:
        """Look after so many of the first steps."""
        if steps in self.after:
            self._keep(self._trainer, START, steps)

    def later(self, at_once: int, step_s: float) -> tuple[int, tuple[int, ...]]:
        """The number of looks between the turns, and for each look after the timed blocks the steps before it.

        Steps are taken so many `at_once`, and one takes `step_s`. There are none where their bound is unknown, and as
        many as the reference can follow in little time: at least one in a run with a diagnosis.
        """
        if isinstance(self._workload, Own):
            return 0, ()  # their reference is the files themselves, which no supervisor runs
        samples = at_once * self._request.cell.batch_size if self._workload.trains else reference.SAMPLES
        flops = samples * self._workload.flops_per_sample
        looks = int(min(MOST, (FLOPS if self._workload.trains else FLOPS_OF_INFERENCE) // flops))
        if not looks and flops <= (FLOPS_OF_A_DIAGNOSIS if self._request.diagnosis else FLOPS_OF_ONE):
            looks = 1
        if at_once not in self.after or not looks:
            return 0, ()
        apart = np.random.Generator(np.random.PCG64([self._request.protocol.seed, 5, self._request.round]))
        most = min(APART, 2 + int(APART_S / step_s))
        skipped = apart.integers(1, most + 1, min(looks, AT_THE_END) - 1).tolist()
        return looks - 1 - len(skipped), (0, *skipped)

    def begin_anew(self, taken: int, at_once: int) -> int:
        """Restore weights and optimizer after so many steps; return how many steps are to follow."""
        if not self._workload.trains:
            self._keep(self._trainer, LATER, 1, taken - 1)
            return 0
        with self._looking():
            self._taken, self._at_once, self._trained = taken, at_once, self._trainer.weights()
            self._trainer.load(self._weights)
        return at_once

    def look_again(self) -> None:
        """Look after those steps."""
        self._keep(self._trainer, LATER, self._at_once, self._taken)
        with self._looking():
            self._trainer.load(self._trained)

    @property
    def batches_without_dropout(self) -> int:
        """The number of first batches for a look at a net with its dropout off; 0: it has no dropout."""
        return max(map(int, self._facts["bounds"]), default=0) if "masks" in self._facts else 0

    def look_without_dropout(self, trainer: Trainer) -> None:
        """Look at the first steps of another trainer, whose dropout is off."""
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

    def _keep(self, trainer: Trainer, at: str, steps: int, number: int = 0) -> None:
        """Write to a file: arrays kept in memory would count as the framework's."""
        with self._looking():
            if self._workload.trains:
                changed = {name: array - self._weights[name] for name, array in trainer.weights().items()}
            else:
                changed = {OUTPUT: self._outputs[-1]}
            np.savez(self._folder / f"{self._kept:03} {at} {steps} {number}.npz", **changed)  # type: ignore[arg-type]
            self._kept += 1

    @contextmanager
    def _looking(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.looked_s += time.perf_counter() - start
