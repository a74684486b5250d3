"""The table of the warm-up: every interval of every run that counts, on a clock that starts with the training."""

import pandas as pd
import pytest

from framebench.analyse import command
from framebench.analyse.warmup import COLUMNS, warmup
from framebench.record import RUN, write
from runs import run

pytestmark = pytest.mark.check

INTERVALS = [
    {"t0_ns": 7_000_000_000, "t1_ns": 7_400_000_000, "steps": 1},
    {"t0_ns": 7_400_000_000, "t1_ns": 7_500_000_000, "steps": 20},
]


def test_time_counts_from_the_start_of_training_and_a_step_is_the_mean_of_its_interval():
    frame = warmup([run("pytorch", 1, 100.0, warmup_intervals=INTERVALS)])
    assert list(frame.columns) == [*RUN, "interval", "t_s", "steps", "step_ms"] == list(COLUMNS)
    assert frame["interval"].tolist() == [0, 1]
    assert frame["t_s"].tolist() == pytest.approx([0.4, 0.5])
    assert frame["steps"].tolist() == [1, 20]
    assert frame["step_ms"].tolist() == pytest.approx([400.0, 5.0])


def test_runs_stand_in_the_order_of_the_other_tables_and_failed_ones_are_left_out():
    records = [
        run(framework, number, speed, warmup_intervals=INTERVALS)
        for framework in ("tensorflow", "pytorch")
        for number, speed in ((10, 1.0), (2, 1.0), (3, None))
    ]
    frame = warmup(records)
    assert list(zip(frame["framework"], frame["round"], frame["interval"], strict=True)) == [
        (framework, number, place) for framework in ("pytorch", "tensorflow") for number in (2, 10) for place in (0, 1)
    ]


def test_the_command_writes_what_a_reader_gets_back(tmp_path):
    record = run("pytorch", 1, 100.0, warmup_intervals=INTERVALS)
    write(tmp_path / "1.json", record)
    (tmp_path / "plan.txt").write_text(f"{tmp_path / '1.json'}\n", encoding="utf-8")
    command.main(["warmup", "--records", str(tmp_path / "plan.txt"), "--output", str(tmp_path / "warmup.csv")])
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "warmup.csv").astype(COLUMNS), warmup([record]))


def test_without_a_run_that_counts_the_table_is_empty(tmp_path):
    assert warmup([run("pytorch", 1, None)]).empty
    with pytest.raises(SystemExit, match=r"none: cannot be read"):
        command.main(["warmup", "--records", str(tmp_path / "none"), "--output", str(tmp_path / "warmup.csv")])
