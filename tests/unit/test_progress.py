"""The line that a waiting person reads."""

import json
import os

import pytest

from framebench.measure import progress
from requested import request

pytestmark = pytest.mark.check

REQUEST = request(round=2, order=3)


def finished(folder, name, process_s, mtime):
    path = folder / name / "round-1.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"process_s": process_s}))
    os.utime(path, (mtime, mtime))


def test_before_the_first_run_no_time_is_promised(tmp_path):
    assert progress.line(REQUEST, 5, tmp_path) == "[3 of 5] article-cnn · pytorch · batch 32 · input device · round 2"


def test_a_track_other_than_the_default_is_named(tmp_path):
    line = progress.line(request(track="tuned", round=2, order=3), 5, tmp_path)
    assert line == "[3 of 5] article-cnn · pytorch · tuned · batch 32 · input device · round 2"


def test_the_time_left_is_that_of_recent_runs_for_this_and_all_later_ones(tmp_path):
    finished(tmp_path, "a", 10.0, 1)
    finished(tmp_path, "b", 30.0, 2)
    assert progress.line(REQUEST, 5, tmp_path).endswith("round 2 · about 60 s left")


def test_old_runs_and_runs_without_a_time_do_not_count(tmp_path):
    finished(tmp_path, "old", 1000.0, 0)
    for index in range(progress.RECENT - 1):
        finished(tmp_path, str(index), 2.0, index + 1)
    finished(tmp_path, "unknown", None, 100)
    assert progress.mean_process_s(tmp_path) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(4, "0 s"), (42, "40 s"), (120, "2 min"), (3599, "1 h 00 min"), (7500, "2 h 05 min")]
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text
