"""The clock of a run: it counts training steps and decides when to synchronise and when to stop.

The training loop belongs to the framework; the clock only listens. A run is a sequence of intervals of steps with one
synchronisation at the end of each: the first step, groups of the warm-up, the timed blocks, and single steps for the
latency. Before its timed blocks it waits for its turn, as the processes of a round take turns.
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
    """The clock's readings, in order."""

    first: Interval | None = None
    warmup: list[Interval] = field(default_factory=list)
    warmup_converged: bool = False
    lead_in_s: float = 0.0  # untimed steps at the start of each turn, in all
    taken: int = 0  # all steps, with those outside every interval
    undone: int = 0  # of these, steps taken for a look only, which changed nothing that stayed
    looked_at: bool = True  # the present steps belong to a look: MoreWork hides none
    blocks: list[Interval] = field(default_factory=list)
    synced: list[Interval] = field(default_factory=list)


class Turns(Protocol):
    """Turns to wait for: see `framebench.measure.turns`."""

    def wait(self, state: str) -> int:
        """Blocks to time now; 0: no more."""


class Looks(Protocol):
    """Looks at the work of a run: see `framebench.measure.looks`."""

    after: tuple[int, ...]  # numbers of the first steps after which it looks
    looked_s: float  # seconds spent on looks, and on steps for them alone

    def look(self, steps: int) -> None:
        """Look after so many of the first steps."""

    def later(self, at_once: int, step_s: float) -> tuple[int, tuple[int, ...]]:
        """The number of looks between turns, and for each look after the last turn the steps before it."""

    def begin_anew(self, taken: int, at_once: int) -> int:
        """Restore the initial state after so many steps; return how many steps follow, taken `at_once`."""

    def look_again(self) -> None:
        """Look after those steps."""


class Pace:
    """Drives one run. Call `start()` just before the training loop, then `over()` after every step."""

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

        An interval ends with the call that fills it, and counts all of that call's steps. Returns True to stop
        training.
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
    """Hides one call in every `every` + 1 from the pace: work that is done and not counted.

    Steps of a look are not hidden, since they would show it.
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
    """Yields the number of steps of the next interval, and is sent that interval at its end."""
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

    # Objects that exist by now stay: the collector need not walk them during the blocks.
    gc.collect()
    gc.freeze()
    step_s = median(group.step_s for group in groups[-GROUPS_COMPARED:])
    state = WARM
    between, at_the_end = looks.later(at_once, step_s) if looks else (0, ())
    while count := turns.wait(state):
        if looks and between:
            between -= 1
            yield from _looked_at(timeline, looks, at_once)
        # Other processes that computed meanwhile have emptied the caches.
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
    """A look at steps that begin anew with the initial weights, and are counted nowhere."""
    timeline.looked_at = True
    if steps := looks.begin_anew(timeline.taken, at_once):
        again = yield steps
        looks.looked_s += again.s
        timeline.undone += again.steps
        looks.look_again()
    timeline.looked_at = False


def is_steady(groups: list[Interval], tolerance: float) -> bool:
    """True where the median step time of the last groups is within `tolerance` of that of the groups before them."""
    if len(groups) < 2 * GROUPS_COMPARED:
        return False
    last = median(group.step_s for group in groups[-GROUPS_COMPARED:])
    before = median(group.step_s for group in groups[-2 * GROUPS_COMPARED : -GROUPS_COMPARED])
    return abs(last - before) <= tolerance * before
