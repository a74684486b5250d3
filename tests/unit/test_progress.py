"""The line that a waiting person reads."""

import json
import os
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebench.measure import progress

pytestmark = pytest.mark.check

NOW = datetime(2026, 11, 27, 14, 26)


def test_a_line_says_the_stage_what_is_left_and_when_it_is_over():
    line = progress.line("measuring", 12, 45, ["article-cnn", "batch 128"], left_s=360, now=NOW)
    assert line == "[measuring 12 of 45] article-cnn · batch 128 · about 6 min left, until 14:32"


def test_before_the_first_run_no_time_is_promised():
    assert progress.line("measuring", 1, 45, ["article-cnn"], may_add_s=60) == "[measuring 1 of 45] article-cnn"


def test_rounds_that_a_rule_may_add_are_shown_separately():
    line = progress.line("measuring", 1, 45, ["x"], left_s=360, may_add_s=300, now=NOW)
    assert line.endswith("about 6 min left, until 14:32, up to 14:37 with the rounds that are added")


def test_another_day_is_named():
    line = progress.line("measuring", 1, 45, ["x"], left_s=10 * 3600, now=NOW)
    assert line.endswith("about 10 h 00 min left, until 2026-11-28 00:26")


def test_a_part_takes_as_long_as_the_last_of_its_name_or_as_the_mean():
    taken = [("a", 100.0), ("a", 10.0), ("b", 30.0)]
    assert progress.seconds_left(["a", "a", "c"], taken) == 10 + 10 + 20
    assert progress.seconds_left(["a"], []) is None
    assert progress.seconds_left([], taken) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(1, 100)), min_size=1), st.lists(st.sampled_from("abcd")))
def test_the_rest_takes_between_the_shortest_and_the_longest(taken, left):
    seconds = [time_s for _, time_s in taken]
    total = progress.seconds_left(left, taken)
    assert len(left) * min(seconds) * 0.999 <= total <= len(left) * max(seconds) * 1.001


def planned(folder, process_s, missing=()):
    """A plan of records that took so long, in the order of time, and of some that are missing."""
    for mtime, (name, seconds) in enumerate(process_s.items()):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"round_s": seconds}), encoding="utf-8")
        os.utime(path, (mtime, mtime))
    plan = folder / "planned.json"
    plan.write_text(
        json.dumps({"records": [str(folder / name) for name in [*process_s, *missing]], "may_add_s": 7}),
        encoding="utf-8",
    )
    return plan


def test_the_rest_of_a_plan_is_its_missing_records(tmp_path):
    plan = planned(tmp_path, {"a/1": 50.0, "b/1": 20.0, "a/2": 10.0, "c/1": None}, ["a/3", "b/2", "d/1"])
    assert progress.left(plan) == progress.Left(done=4, planned=7, left_s=10 + 20 + 15, may_add_s=7)


def test_without_a_plan_only_the_stage_is_known(tmp_path):
    left = progress.left(tmp_path / "planned.json")
    assert progress.line("measuring", left.done + 1, left.planned, ["x"], left_s=left.left_s) == "[measuring] x"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4, "0 s"), (42, "40 s"), (120, "2 min"), (3599, "1 h 00 min"), (7500, "2 h 05 min")]
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text
