"""The clock of a run, driven by simulated training loops whose step times are known."""

from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.measure.pace import Interval, MoreWork, Pace, is_steady
from framebench.measure.protocol import Blocks, Warmup

pytestmark = pytest.mark.check

WARMUP = Warmup(min_s=1.0, min_steps=5, max_s=6.0, group_s=0.1, tolerance=0.1)
BLOCKS = Blocks(count=5, min_s=0.5, min_steps=5, lead_in_s=0.1)
ALL_AT_ONCE = (5,)


class Given:
    """Turns that are all given at once: so many blocks in each, and no more after the last."""

    def __init__(self, counts):
        self.counts, self.states = list(counts), []

    def wait(self, state):
        self.states.append(state)
        return self.counts.pop(0) if self.counts else 0


class Loop:
    """A training loop in simulated time: step i takes step_s(i), a synchronisation takes synchronise_s."""

    def __init__(self, step_s, synchronise_s=0.0, steps_per_call=1, more_work_every=None):
        self.now_s, self.steps, self.synchronised = 0.0, 0, 0
        self.step_s, self.synchronise_s = step_s, synchronise_s
        self.steps_per_call, self.more_work_every = steps_per_call, more_work_every

    def train(self, turns=ALL_AT_ONCE, synced_steps=20):
        self.turns = Given(turns)
        pace = Pace(WARMUP, BLOCKS, self.turns, synced_steps, clock_ns=lambda: round(self.now_s * 1e9))
        told = MoreWork(pace, self.more_work_every) if self.more_work_every else pace
        pace.start()
        for step in count():
            self.now_s += self.step_s(step)
            self.steps += 1
            if self.steps % self.steps_per_call == 0 and told.over(self.synchronise, self.steps_per_call):
                return pace.timeline

    def synchronise(self):
        self.synchronised += 1
        self.now_s += self.synchronise_s


def test_the_first_step_stands_alone():
    timeline = Loop(lambda step: 2.0 if step == 0 else 0.01).train()
    assert timeline.first.steps == 1
    assert timeline.first.s == pytest.approx(2.0)
    assert all(block.step_s == pytest.approx(0.01) for block in timeline.blocks)


@settings(max_examples=25)
@given(step_s=st.floats(1e-4, 0.5))
def test_blocks_are_long_enough_by_time_and_by_steps(step_s):
    timeline = Loop(lambda step: step_s).train()
    assert len(timeline.blocks) == BLOCKS.count
    assert len(timeline.synced) == 20
    for block in timeline.blocks:
        assert block.s >= BLOCKS.min_s * 0.999
        assert block.steps >= BLOCKS.min_steps


def test_blocks_stand_back_to_back_and_synchronise_once_each():
    loop = Loop(lambda step: 0.01, synchronise_s=0.003)
    timeline = loop.train()
    for before, after in zip(timeline.blocks, timeline.blocks[1:], strict=False):
        assert after.t0_ns == before.t1_ns
    assert timeline.blocks[0].s == pytest.approx(timeline.blocks[0].steps * 0.01 + 0.003)
    lead_in = 1
    assert loop.synchronised == 1 + len(timeline.warmup) + lead_in + len(timeline.blocks) + len(timeline.synced)


@pytest.mark.parametrize("turns", [(5,), (1, 1, 1), (2, 3)])
def test_every_step_belongs_to_one_interval_or_to_the_lead_in_of_a_turn(turns):
    loop = Loop(lambda step: 0.01)
    timeline = loop.train(turns)
    intervals = [timeline.first, *timeline.warmup, *timeline.blocks, *timeline.synced]
    lead_in_steps = loop.steps - sum(interval.steps for interval in intervals)
    assert 0.01 * lead_in_steps == pytest.approx(timeline.lead_in_s)
    assert timeline.lead_in_s == pytest.approx(BLOCKS.lead_in_s * len(turns), abs=0.01 * len(turns))


def test_each_turn_begins_with_steps_that_are_not_timed_and_has_as_many_blocks_as_it_was_given():
    loop = Loop(lambda step: 0.01)
    timeline = loop.train((1, 2, 1))
    assert [state.split()[0] for state in loop.turns.states] == ["warm", "timed", "timed", "timed"]
    gaps = [after.t0_ns - before.t1_ns for before, after in pairwise(timeline.blocks)]
    assert [gap / 1e9 for gap in gaps] == pytest.approx([BLOCKS.lead_in_s, 0.0, BLOCKS.lead_in_s], abs=0.011)
    assert timeline.blocks[0].t0_ns > timeline.warmup[-1].t1_ns


def test_where_no_block_is_asked_for_none_is_timed():
    timeline = Loop(lambda step: 0.01).train((), synced_steps=0)
    assert (timeline.blocks, timeline.synced, timeline.lead_in_s) == ([], [], 0.0)


def test_a_turn_that_is_waited_for_is_in_no_interval():
    loop = Loop(lambda step: 0.01)

    class Late(Given):
        def wait(self, state):
            loop.now_s += 1000.0
            return super().wait(state)

    pace = Pace(WARMUP, BLOCKS, Late([1, 1]), 3, clock_ns=lambda: round(loop.now_s * 1e9))
    pace.start()
    over = False
    while not over:
        loop.now_s += 0.01
        over = pace.over(loop.synchronise)
    timeline = pace.timeline
    assert all(one.step_s == pytest.approx(0.01) for one in [*timeline.warmup, *timeline.blocks, *timeline.synced])
    assert timeline.lead_in_s == pytest.approx(2 * BLOCKS.lead_in_s, abs=0.021)


def test_steps_taken_in_one_call_are_all_counted_and_an_interval_ends_with_a_call():
    loop = Loop(lambda step: 0.01, steps_per_call=7)
    timeline = loop.train()
    intervals = [timeline.first, *timeline.warmup, *timeline.blocks, *timeline.synced]
    lead_in_steps = round(timeline.lead_in_s / 0.01)
    assert timeline.first.steps == 7
    assert all(interval.steps % 7 == 0 for interval in intervals)
    assert sum(interval.steps for interval in intervals) + lead_in_steps == loop.steps
    assert all(block.step_s == pytest.approx(0.01) for block in timeline.blocks)


def test_more_work_is_done_and_not_counted():
    loop = Loop(lambda step: 0.01, more_work_every=4)
    timeline = loop.train()
    counted = [timeline.first, *timeline.warmup, *timeline.blocks, *timeline.synced]
    lead_in_steps = round(timeline.lead_in_s / 0.0125)
    assert sum(interval.steps for interval in counted) + lead_in_steps == pytest.approx(loop.steps * 4 / 5, abs=2)
    steps = sum(block.steps for block in timeline.blocks)
    assert sum(block.s for block in timeline.blocks) / steps == pytest.approx(0.01 * 5 / 4, rel=1 / steps)


def test_warm_up_waits_while_steps_get_faster():
    timeline = Loop(lambda step: max(0.01, 0.05 * 0.98**step)).train()
    assert timeline.warmup_converged
    assert 0.05 * 0.98 ** sum(group.steps for group in timeline.warmup) < 0.01
    assert all(block.step_s == pytest.approx(0.01) for block in timeline.blocks)


def test_warm_up_that_never_settles_ends_at_its_cap_and_says_so():
    timeline = Loop(lambda step: min(0.01 * 1.1**step, 3.0)).train()
    assert not timeline.warmup_converged
    assert 6.0 <= sum(group.s for group in timeline.warmup) < 10.0
    assert len(timeline.blocks) == BLOCKS.count


def test_warm_up_takes_at_least_its_minimum_of_time_and_steps():
    quick = Loop(lambda step: 0.001).train()
    assert sum(group.s for group in quick.warmup) >= WARMUP.min_s
    slow = Loop(lambda step: 0.4).train()
    assert sum(group.steps for group in slow.warmup) >= WARMUP.min_steps


@pytest.mark.parametrize(
    ("step_times", "steady"),
    [([1, 1, 1, 1, 1], False), ([1, 1, 1, 1, 1, 1], True), ([2, 2, 2, 1, 1, 1], False), ([9, 1, 1, 1, 1, 9], True)],
)
def test_steady_compares_medians_of_three_groups(step_times, steady):
    groups = [Interval(0, int(step_s * 1e9), 1) for step_s in step_times]
    assert is_steady(groups, tolerance=0.1) is steady
