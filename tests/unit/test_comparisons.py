"""Comparisons: rounds are paired, opposite pairs mirror each other, and a gap is shown with its reason."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.analyse.comparisons import COLUMNS, comparisons, main
from framebench.analyse.statistics import METHOD
from framebench.analyse.table import table, write_table
from framebench.record import record

SPEEDS = st.lists(st.floats(1, 1e6), min_size=3, max_size=8)


def run(framework: str, number: int, speed: float | None, **changes) -> dict:
    values = {
        "device": "cpu",
        "workload": "article-cnn",
        "framework": framework,
        "track": "default",
        "precision": "float32",
        "input": "device",
        "batch_size": 32,
        "round": number,
        "order": 1,
        "seed": 1,
        "status": "ok" if speed else "failed",
        "images_per_s": speed,
    }
    return record(**values | changes)


def runs(**speeds: list[float | None]) -> list[dict]:
    """One run per framework and round; None is a run that failed."""
    return [
        run(framework, number, speed)
        for framework, values in speeds.items()
        for number, speed in enumerate(values, start=1)
    ]


def compared(records: list[dict], framework: str = "pytorch", reference: str = "tensorflow") -> pd.Series:
    frame = comparisons(table(records), 0.95)
    (_, row), *others = frame[(frame["framework"] == framework) & (frame["reference"] == reference)].iterrows()
    assert not others
    return row


def test_every_ordered_pair_of_a_block_has_one_row_and_blocks_are_never_mixed():
    records = [
        run(framework, number, 100.0, **block)
        for framework in ("pytorch", "tensorflow", "keras-tensorflow")
        for number in (1, 2, 3)
        for block in ({"batch_size": 8}, {"batch_size": 128}, {"track": "tuned"}, {"input": "host"})
    ]
    frame = comparisons(table(records), 0.95)
    assert list(frame.columns) == list(COLUMNS) and len(frame) == 4 * 6
    assert not frame.duplicated().any() and (frame["framework"] != frame["reference"]).all()
    assert frame["rounds"].eq(3).all() and frame["method"].eq(METHOD).all() and frame["confidence"].eq(0.95).all()


def test_the_ratio_is_the_geometric_mean_of_the_rounds_ratios():
    row = compared(runs(pytorch=[200.0, 800.0, 400.0], tensorflow=[100.0, 100.0, 100.0]))
    assert row["ratio"] == pytest.approx(4) and row["rounds"] == 3
    assert row["ci_low"] < 2 and row["ci_high"] > 8


def test_a_drift_that_both_sides_of_a_round_share_cancels():
    drift = [1.0, 0.25, 4.0, 0.5, 2.0]
    steady = compared(runs(pytorch=[210.0, 190.0, 200.0, 205.0, 195.0], tensorflow=[100.0] * 5))
    drifting = compared(
        runs(
            pytorch=[speed * d for speed, d in zip([210.0, 190.0, 200.0, 205.0, 195.0], drift, strict=True)],
            tensorflow=[100.0 * d for d in drift],
        )
    )
    pd.testing.assert_series_equal(steady, drifting)
    assert steady["verdict"] == "faster"


@pytest.mark.parametrize(
    ("speeds", "verdict", "opposite"),
    [
        ([200.0, 201.0, 199.0], "faster", "slower"),
        ([50.0, 51.0, 49.0], "slower", "faster"),
        ([99.0, 101.0, 100.5], "no difference shown", "no difference shown"),
        ([100.0, 100.0, 100.0], "no difference shown", "no difference shown"),
    ],
)
def test_the_verdict_is_what_the_interval_shows(speeds, verdict, opposite):
    records = runs(pytorch=speeds, tensorflow=[100.0, 100.0, 100.0])
    assert compared(records)["verdict"] == verdict
    assert compared(records, "tensorflow", "pytorch")["verdict"] == opposite


@settings(max_examples=50, deadline=None)
@given(speeds=SPEEDS, others=SPEEDS)
def test_opposite_pairs_mirror_each_other_exactly(speeds, others):
    records = runs(pytorch=speeds, tensorflow=others)
    row, opposite = compared(records), compared(records, "tensorflow", "pytorch")
    assert opposite["ratio"] == 1 / row["ratio"]
    assert (opposite["ci_low"], opposite["ci_high"]) == (1 / row["ci_high"], 1 / row["ci_low"])
    swapped = {"faster": "slower", "slower": "faster"}
    assert opposite["verdict"] == swapped.get(row["verdict"], row["verdict"])


@settings(max_examples=30, deadline=None)
@given(data=st.data(), speeds=SPEEDS)
def test_the_order_of_the_rounds_changes_nothing(data, speeds):
    pairs = [(speed, 100.0 + number) for number, speed in enumerate(speeds)]
    shuffled = data.draw(st.permutations(pairs))
    row, other = (
        compared(runs(pytorch=[a for a, _ in order], tensorflow=[b for _, b in order])) for order in (pairs, shuffled)
    )
    pd.testing.assert_series_equal(row, other, check_exact=True)


def test_a_framework_against_itself_is_found_different_as_seldom_as_promised():
    random = np.random.default_rng(3)
    records = []
    for batch_size in range(1, 601):
        for number in range(1, 6):
            drift = np.exp(random.standard_normal())
            for side in ("pytorch", "tensorflow"):
                speed = float(1000 * drift * np.exp(0.08 * random.standard_normal()))
                records.append(run(side, number, speed, batch_size=batch_size))
    frame = comparisons(table(records), 0.95)
    found = frame.loc[frame["framework"] == "pytorch", "verdict"].isin(["faster", "slower"]).mean()
    assert found == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / 600))


def test_rounds_in_which_one_side_failed_are_left_out():
    row = compared(runs(pytorch=[200.0, None, 202.0, 198.0, 999.0], tensorflow=[100.0, 1.0, 100.0, 100.0, None]))
    assert row["rounds"] == 3 and row["ratio"] == pytest.approx(2, rel=0.01) and row["verdict"] == "faster"


@pytest.mark.parametrize(
    ("speeds", "count"),
    [([2.0, None, None], "1 round"), ([2.0, 2.0], "2 rounds"), ([None, None, None, 2.0], "0 rounds")],
)
def test_too_few_rounds_have_no_interval_and_no_verdict(speeds, count):
    row = compared(runs(pytorch=speeds, tensorflow=[1.0, 1.0, 1.0]))
    assert row["verdict"] == f"not comparable: only {count}, an interval needs 3"
    assert row[["ci_low", "ci_high"]].isna().all()
    assert pd.isna(row["ratio"]) if count == "0 rounds" else row["ratio"] == 2


@pytest.mark.parametrize("order", [("pytorch", "tensorflow"), ("tensorflow", "pytorch")])
def test_a_side_that_never_ran_is_named_with_its_first_reason_on_one_line(order):
    failed = [
        run("pytorch", 2, None, reason="later"),
        run("pytorch", 1, None, status="out_of_memory", reason="12 GiB\nwanted " + "x" * 500),
    ]
    row = compared([*failed, *runs(tensorflow=[1.0, 1.0, 1.0])], *order)
    assert row["verdict"].startswith("not comparable: pytorch out of memory: 12 GiB wanted xxx")
    assert "\n" not in row["verdict"] and len(row["verdict"]) < 200
    assert row[["ratio", "ci_low", "ci_high"]].isna().all() and row["rounds"] == 0


def test_two_sides_that_never_ran_are_both_named():
    records = [run("pytorch", 1, None, reason="crashed"), run("tensorflow", 1, None, status="timeout")]
    assert compared(records)["verdict"] == "not comparable: pytorch failed: crashed; tensorflow timeout"


def test_the_command_writes_what_the_function_returns(tmp_path):
    measurements = table(runs(pytorch=[200.0, 201.0, 199.0], tensorflow=[100.0, 100.0, None]))
    write_table(measurements, tmp_path / "m.csv")
    options = ["--measurements", str(tmp_path / "m.csv"), "--output", str(tmp_path / "c.csv")]
    main([*options, "--confidence", "0.95"])
    expected = comparisons(measurements, 0.95)
    frame = pd.read_csv(tmp_path / "c.csv", dtype=COLUMNS)
    pd.testing.assert_frame_equal(frame, expected, check_exact=True)


def test_one_framework_or_none_leave_nothing_to_compare():
    assert comparisons(table(runs(pytorch=[1.0, 2.0, 3.0])), 0.95).empty
    frame = comparisons(table([]), 0.95)
    assert frame.empty and list(frame.columns) == list(COLUMNS)


def test_the_command_names_the_file_that_it_cannot_use(tmp_path):
    write_table(table(runs(pytorch=[1.0] * 3, tensorflow=[1.0] * 3)), tmp_path / "m.csv")
    options = ["--measurements", str(tmp_path / "m.csv"), "--output", str(tmp_path / "c.csv")]
    with pytest.raises(SystemExit, match=r"m\.csv: confidence is 95\.0, expected a level between 0 and 1"):
        main([*options, "--confidence", "95"])
    (tmp_path / "m.csv").unlink()
    with pytest.raises(SystemExit, match=r"m\.csv: cannot be read: No such file"):
        main([*options, "--confidence", "0.95"])
