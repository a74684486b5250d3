"""The looks at a run, in its process: what its optimizer changes, kept for the supervisor, who holds it against the
reference (see `framebench.measure.story`).

All runs of a block begin with the same weights and see the same batches in the same order. After some of the first
steps a run keeps what its optimizer has changed. Later, between its turns and after its timed blocks, initial weights
and a fresh optimizer are put back within the same loop, and it keeps what the next step changes: that shows that the
program which is timed is still the same one, and by the batches whose turn it is, that as many steps were taken as the
clock has counted.
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

MOST = 8  # looks at a run after its first steps, as far as FLOPS allow
AT_THE_END = 3  # as many of these come after the timed blocks
APART, APART_S = 16, 0.1  # fewer steps between them than that, or than that time takes
# The reference computes them for each run by itself. One look may take more than all of many together, and more still
# in a run with a diagnosis, which few have: ten steps at once of a large net.
FLOPS = 4e9
FLOPS_OF_ONE = 1e11
FLOPS_OF_INFERENCE = 1e11  # all looks at a net of inference: those at ResNet-50 are six
FLOPS_OF_A_DIAGNOSIS = 3e11


class Looks:
    """The looks at one run. A `Pace` says when to look; what was seen is left in files of a folder."""

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
        """`weights`: the initial ones; `outputs`: what came out of the last batch in inference; `folder`: a new one."""
        folder.mkdir()
        self._facts = facts(request)
        self._trainer, self._request, self._workload, self._weights = trainer, request, workload, weights
        self._outputs, self._trained, self._folder = outputs, weights, folder
        self._taken, self._at_once, self._kept = 0, 1, 0
        self.looked_s = 0.0
        self.after = tuple(map(int, in_loop(self._facts)))

    def look(self, steps: int) -> None:
        """After so many of the first steps."""
        if steps in self.after:
            self._keep(self._trainer, START, steps)

    def later(self, at_once: int, step_s: float) -> tuple[int, tuple[int, ...]]:
        """The number of looks between the turns, and for each after the timed blocks the steps before it.

        Steps are taken so many `at_once`, and one takes `step_s`. There are none where their bound is not known, and as
        many as the reference can follow in little time: one at least in a run with a diagnosis.
        """
        if isinstance(self._workload, Own):
            return 0, ()  # the reference of these are the files themselves, which no supervisor runs
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
        """Put weights and optimizer back to the beginning after so many steps; returns how many are to follow."""
        if not self._workload.trains:
            self._keep(self._trainer, LATER, 1, taken - 1)
            return 0
        with self._looking():
            self._taken, self._at_once, self._trained = taken, at_once, self._trainer.weights()
            self._trainer.load(self._weights)
        return at_once

    def look_again(self) -> None:
        """After the steps that have followed."""
        self._keep(self._trainer, LATER, self._at_once, self._taken)
        with self._looking():
            self._trainer.load(self._trained)

    @property
    def batches_without_dropout(self) -> int:
        """The number of first batches at which a net with dropout is looked at without it; 0: it has none."""
        return max(map(int, self._facts["bounds"]), default=0) if "masks" in self._facts else 0

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

    def _keep(self, trainer: Trainer, at: str, steps: int, number: int = 0) -> None:
        """In a file, as what is kept in memory would count as the framework's."""
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
