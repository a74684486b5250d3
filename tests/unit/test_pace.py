"""The clock of a run, driven by simulated training loops whose step times are known."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.measure.pace import Interval, MoreWork, Pace, is_steady
from framebench.measure.protocol import Blocks, Warmup

pytestmark = pytest.mark.check

WARMUP = Warmup(min_s=1.0, min_steps=5, max_s=6.0, group_s=0.1, tolerance=0.1)
BLOCKS = Blocks(count=5, min_s=0.5, min_steps=5)


class Loop:
    """A training loop in simulated time: step i takes step_s(i), a synchronisation takes synchronise_s."""

    def __init__(self, step_s, synchronise_s=0.0, steps_per_call=1, more_work_every=None):
        self.now_s, self.steps, self.synchronised = 0.0, 0, 0
        self.step_s, self.synchronise_s = step_s, synchronise_s
        self.steps_per_call, self.more_work_every = steps_per_call, more_work_every

    def train(self, warmup=WARMUP, blocks=BLOCKS, synced_steps=20):
        pace = Pace(warmup, blocks, synced_steps, clock_ns=lambda: round(self.now_s * 1e9))
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
    intervals = 1 + len(timeline.warmup) + len(timeline.blocks) + len(timeline.synced)
    assert loop.synchronised == intervals


def test_every_step_belongs_to_one_interval():
    loop = Loop(lambda step: 0.01)
    timeline = loop.train()
    intervals = [timeline.first, *timeline.warmup, *timeline.blocks, *timeline.synced]
    assert sum(interval.steps for interval in intervals) == loop.steps


def test_steps_taken_in_one_call_are_all_counted_and_an_interval_ends_with_a_call():
    loop = Loop(lambda step: 0.01, steps_per_call=7)
    timeline = loop.train()
    intervals = [timeline.first, *timeline.warmup, *timeline.blocks, *timeline.synced]
    assert timeline.first.steps == 7
    assert all(interval.steps % 7 == 0 for interval in intervals)
    assert sum(interval.steps for interval in intervals) == loop.steps
    assert all(block.step_s == pytest.approx(0.01) for block in timeline.blocks)


def test_more_work_is_done_and_not_counted():
    loop = Loop(lambda step: 0.01, more_work_every=4)
    timeline = loop.train()
    counted = [timeline.first, *timeline.warmup, *timeline.blocks, *timeline.synced]
    assert sum(interval.steps for interval in counted) == pytest.approx(loop.steps * 4 / 5, abs=1)
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
