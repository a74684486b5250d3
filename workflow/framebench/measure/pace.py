"""The clock of a run: it counts training steps and says where to synchronise and when to stop.

The training loop belongs to the framework; this only listens. A run is a row of intervals of steps with
one synchronisation at the end of each: the first step, groups of the warm-up, the timed blocks, and single
steps for the latency. Before its timed blocks it waits for its turn, as the processes of a round take turns.
"""

import gc
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Protocol

from framebench.measure.protocol import Blocks, Warmup
from framebench.measure.turns import TIMED, WARM

GROUPS_COMPARED = 3  # warm-up: the median of the last three groups against that of the three before


@dataclass(frozen=True)
class Interval:
    """Steps between two synchronisations, by a monotonic clock."""

    t0_ns: int
    t1_ns: int
    steps: int

    @property
    def s(self) -> float:
        return (self.t1_ns - self.t0_ns) / 1e9

    @property
    def step_s(self) -> float:
        return self.s / self.steps


@dataclass
class Timeline:
    """What the clock saw, in order."""

    first: Interval | None = None
    warmup: list[Interval] = field(default_factory=list)
    warmup_converged: bool = False
    lead_in_s: float = 0.0  # in all, of the steps at the start of each turn that are not timed
    taken: int = 0  # steps in all, those that no interval counts too
    undone: int = 0  # of these, steps that were taken to be looked at, and have changed nothing that stayed
    looked_at: bool = True  # the steps now are looked at, and taken as they are
    blocks: list[Interval] = field(default_factory=list)
    synced: list[Interval] = field(default_factory=list)


class Turns(Protocol):
    """Turns that are waited for: see `framebench.measure.turns`."""

    def wait(self, state: str) -> int:
        """Blocks that may be timed now; 0: no more."""


class Looks(Protocol):
    """Looks at the work of a run: see `framebench.measure.looks`."""

    after: tuple[int, ...]  # of the first steps, those after which it looks
    looked_s: float  # how long it has looked, and steps been taken for that alone

    def look(self, steps: int) -> None:
        """After so many of the first steps."""

    def later(self, at_once: int, step_s: float) -> tuple[int, tuple[int, ...]]:
        """How many looks there are between turns, and for each after the last the steps before it."""

    def begin_anew(self, taken: int, at_once: int) -> int:
        """Put everything back to the beginning after so many steps; how many are to follow, taken `at_once`."""

    def look_again(self) -> None:
        """After these."""


class Pace:
    """Drives one run. `start()` just before the training loop, then `over()` after every step."""

    def __init__(
        self,
        warmup: Warmup,
        blocks: Blocks,
        turns: Turns,
        synced_steps: int = 0,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
        *,
        looks: Looks | None = None,
    ) -> None:
        self.timeline = Timeline()
        self._plan = _plan(self.timeline, warmup, blocks, turns, synced_steps=synced_steps, looks=looks)
        self._clock_ns = clock_ns

    def start(self) -> None:
        self._steps = self._left = next(self._plan)
        self._t0_ns = self._clock_ns()

    def over(self, synchronise: Callable[[], object], steps: int = 1) -> bool:
        """Count the steps just taken; at the end of an interval wait for the device and take the time.

        An interval ends with the call that fills it, and counts all of that call's steps. True: stop training.
        """
        self.timeline.taken += steps
        self._left -= steps
        if self._left > 0:
            return False
        synchronise()
        interval = Interval(self._t0_ns, self._clock_ns(), self._steps - self._left)
        try:
            self._steps = self._left = self._plan.send(interval)
        except StopIteration:
            return True
        self._t0_ns = self._clock_ns()
        return False


class MoreWork:
    """Keeps one call from the pace after every `every` calls, which it tells: work that is done and not counted.

    But for the steps that are looked at, where it would be seen.
    """

    def __init__(self, pace: Pace, every: int) -> None:
        self._pace, self._every, self._told = pace, every, 0

    def over(self, synchronise: Callable[[], object], steps: int = 1) -> bool:
        if not self._pace.timeline.looked_at and self._told == self._every:
            self._told = 0
            self._pace.timeline.taken += steps
            return False
        self._told += not self._pace.timeline.looked_at
        return self._pace.over(synchronise, steps)


def _plan(
    timeline: Timeline, warmup: Warmup, blocks: Blocks, turns: Turns, *, synced_steps: int, looks: Looks | None
) -> Generator[int, Interval, None]:
    """Yields how many steps the next interval takes and is sent that interval when it is over."""
    timeline.first = yield 1
    at_once = timeline.first.steps

    groups = timeline.warmup
    if looks:
        looks.look(timeline.taken)
        for step in looks.after:
            if step > timeline.taken:
                groups.append((yield step - timeline.taken))
                looks.look(timeline.taken)
    timeline.looked_at = False
    while True:
        step_s = groups[-1].step_s if groups else timeline.first.step_s
        groups.append((yield max(1, ceil(warmup.group_s / step_s))))
        elapsed_s = sum(group.s for group in groups)
        steps = sum(group.steps for group in groups)
        if elapsed_s >= warmup.min_s and steps >= warmup.min_steps and is_steady(groups, warmup.tolerance):
            timeline.warmup_converged = True
            break
        if elapsed_s >= warmup.max_s:
            break

    # What exists by now stays: the collector need not walk it during the blocks.
    gc.collect()
    gc.freeze()
    step_s = median(group.step_s for group in groups[-GROUPS_COMPARED:])
    state = WARM
    between, at_the_end = looks.later(at_once, step_s) if looks else (0, ())
    while count := turns.wait(state):
        if looks and between:
            between -= 1
            yield from _looked_at(timeline, looks, at_once)
        # Who computed meanwhile has emptied the caches.
        lead_in = yield max(1, ceil(blocks.lead_in_s / step_s))
        timeline.lead_in_s += lead_in.s
        for _ in range(count):
            timeline.blocks.append((yield max(blocks.min_steps, ceil(blocks.min_s / step_s))))
        state = f"{TIMED} {timeline.blocks[-1].step_s}"
    gc.unfreeze()

    for _ in range(synced_steps):
        timeline.synced.append((yield 1))

    for skipped in at_the_end:
        assert looks, "who looks"
        if skipped:
            looks.looked_s += (yield skipped).s
        yield from _looked_at(timeline, looks, at_once)


def _looked_at(timeline: Timeline, looks: Looks, at_once: int) -> Generator[int, Interval, None]:
    """A look at steps that are taken anew from the beginning, and that nothing counts."""
    timeline.looked_at = True
    if steps := looks.begin_anew(timeline.taken, at_once):
        again = yield steps
        looks.looked_s += again.s
        timeline.undone += again.steps
        looks.look_again()
    timeline.looked_at = False


def is_steady(groups: list[Interval], tolerance: float) -> bool:
    """Whether the median step time of the last groups is within `tolerance` of that of the groups before them."""
    if len(groups) < 2 * GROUPS_COMPARED:
        return False
    last = median(group.step_s for group in groups[-GROUPS_COMPARED:])
    before = median(group.step_s for group in groups[-2 * GROUPS_COMPARED : -GROUPS_COMPARED])
    return abs(last - before) <= tolerance * before
