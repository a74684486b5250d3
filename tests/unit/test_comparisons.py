"""Comparisons: rounds are paired, opposite pairs mirror each other, and a gap is shown with its reason."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.analyse import command
from framebench.analyse.comparisons import COLUMNS, MOST_ROUNDS, comparisons
from framebench.analyse.statistics import METHOD, rounds_to_decide
from framebench.analyse.table import table, write_table
from framebench.record import BLOCK
from runs import WITHIN, run, runs

pytestmark = pytest.mark.check

GIVEN = ["--same-within", '{"cpu": 0.1, "gpu": 0.03}']
SPEEDS = st.lists(st.floats(1, 1e6), min_size=3, max_size=8)


def compared(records: list[dict], framework: str = "pytorch", reference: str = "tensorflow") -> pd.Series:
    frame = comparisons(table(records), 0.95, WITHIN)
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
    frame = comparisons(table(records), 0.95, WITHIN)
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


def on_cards(**cards: list[str | None]) -> list[dict]:
    """Three rounds of two frameworks, each on the cards named."""
    return [
        run(framework, number, 100.0 + number, device_uuid=card, slurm_node=None if card else f"node0{number}")
        for framework, named in cards.items()
        for number, card in enumerate(named, start=1)
    ]


def test_a_round_on_two_cards_is_not_comparable_and_says_which():
    row = compared(on_cards(pytorch=["GPU-a", "GPU-a", "GPU-b"], tensorflow=["GPU-a", "GPU-b", "GPU-b"]))
    assert row["verdict"] == (
        "not comparable: round 2 was measured on two devices, pytorch on GPU-a and tensorflow on GPU-b "
        "(across_cards in config.yaml allows it)"
    )
    assert row["method"] == f"{METHOD}, across cards in 1 of 3 rounds"


def test_rounds_on_different_cards_are_comparable_where_each_is_on_one():
    row = compared(on_cards(pytorch=["GPU-a", "GPU-b", "GPU-c"], tensorflow=["GPU-a", "GPU-b", "GPU-c"]))
    assert (row["verdict"], row["method"]) == ("same", METHOD)


def test_processors_of_two_nodes_are_two_devices():
    records = on_cards(pytorch=[None] * 3, tensorflow=[None] * 3)
    assert compared(records)["verdict"] == "same"
    records[0]["slurm_node"] = "node09"
    assert "pytorch on node09 and tensorflow on node01" in compared(records)["verdict"]


def test_two_cards_are_compared_where_that_is_asked_for_and_the_method_says_so():
    records = on_cards(pytorch=["GPU-a"] * 3, tensorflow=["GPU-b"] * 3)
    frame = comparisons(table(records), 0.95, WITHIN, across_cards=True)
    assert frame["verdict"].eq("same").all()
    assert frame["method"].eq(f"{METHOD}, across cards in 3 of 3 rounds").all()


@pytest.mark.parametrize(
    ("speeds", "verdict", "opposite"),
    [
        ([200.0, 201.0, 199.0], "faster", "slower"),
        ([50.0, 51.0, 49.0], "slower", "faster"),
        ([99.0, 101.0, 100.5], "same", "same"),
        ([100.0, 100.0, 100.0], "same", "same"),
        ([90.0, 110.0, 101.0], "undecided", "undecided"),
        ([102.0, 102.1, 101.9], "faster", "slower"),  # within the margin, but shown
    ],
)
def test_the_verdict_on_a_pair_alone_is_what_is_shown_of_it(speeds, verdict, opposite):
    records = runs(pytorch=speeds, tensorflow=[100.0, 100.0, 100.0])
    assert compared(records)["verdict"] == verdict
    assert compared(records, "tensorflow", "pytorch")["verdict"] == opposite


@settings(max_examples=50)
@given(speeds=SPEEDS, others=SPEEDS)
def test_opposite_pairs_mirror_each_other_exactly(speeds, others):
    records = runs(pytorch=speeds, tensorflow=others)
    row, opposite = compared(records), compared(records, "tensorflow", "pytorch")
    assert opposite["ratio"] == 1 / row["ratio"]
    assert (opposite["ci_low"], opposite["ci_high"]) == (1 / row["ci_high"], 1 / row["ci_low"])
    shared = ["p", "p_adjusted", "p_same", "p_same_adjusted", "family", "same_within", "rounds_to_decide"]
    assert opposite[shared].equals(row[shared])
    swapped = {"faster": "slower", "slower": "faster"}
    assert opposite["verdict"] == swapped.get(row["verdict"], row["verdict"])


@settings(max_examples=30)
@given(data=st.data(), speeds=SPEEDS)
def test_the_order_of_the_rounds_changes_nothing(data, speeds):
    pairs = [(speed, 100.0 + number) for number, speed in enumerate(speeds)]
    shuffled = data.draw(st.permutations(pairs))
    row, other = (
        compared(runs(pytorch=[a for a, _ in order], tensorflow=[b for _, b in order])) for order in (pairs, shuffled)
    )
    pd.testing.assert_series_equal(row, other, check_exact=True)


@settings(max_examples=20)
@given(speeds=SPEEDS, others=SPEEDS, third=SPEEDS)
def test_another_framework_never_makes_an_adjusted_p_value_smaller(speeds, others, third):
    of_two = compared(runs(pytorch=speeds, tensorflow=others))
    of_three = compared(runs(pytorch=speeds, tensorflow=others, jax=third))
    assert of_two["p"] == of_three["p"] == of_two["p_adjusted"] <= of_three["p_adjusted"] <= 1


def test_verdicts_are_adjusted_for_all_comparable_pairs_of_the_table():
    # A ratio of 1.1 with p = 0.02: enough alone, not as the smallest of three.
    close = compared(runs(pytorch=[104.0, 116.0, 110.0, 112.0], tensorflow=[100.0] * 4))
    assert 0.05 / 3 < close["p"] < 0.05 and close["verdict"] == "faster"
    others = runs({"batch_size": 64}, pytorch=[90.0, 110.0, 100.0], tensorflow=[100.0] * 3)
    others += runs({"batch_size": 128}, pytorch=[90.0, 110.0, 100.0], tensorflow=[100.0] * 3)
    failed = runs({"batch_size": 256}, pytorch=[None], tensorflow=[100.0])
    records = runs(pytorch=[104.0, 116.0, 110.0, 112.0], tensorflow=[100.0] * 4) + others + failed
    frame = comparisons(table(records), 0.95, WITHIN)
    row = frame[(frame["batch_size"] == 32) & (frame["framework"] == "pytorch")].iloc[0]
    assert row["p_adjusted"] == 3 * row["p"] and row["ci_low"] > 1
    assert row["verdict"] == "undecided"
    assert frame.loc[frame["batch_size"] == 256, ["p", "p_adjusted"]].isna().all(axis=None)


THREE = {
    "pytorch": [104.0, 116.0, 110.0, 112.0],
    "keras-tensorflow": [100.0] * 4,
    "tensorflow": [101.0, 99.0, 100.0, 103.0],
}
QUESTION = ["pytorch", "keras-tensorflow"]


def of_sizes(*sizes: int, **frameworks: list) -> pd.DataFrame:
    return table([run for size in sizes for run in runs({"batch_size": size}, **frameworks)])


def test_the_question_pays_for_its_own_pairs_only():
    """A third framework adds pairs to the other family and changes nothing in the question's."""
    measured = of_sizes(32, 128, **THREE)
    without = measured[measured["framework"] != "tensorflow"]
    found, alone = (comparisons(rows, 0.95, WITHIN, question=QUESTION) for rows in (measured, without))
    asked = found[found["family"] == "question"]
    pd.testing.assert_frame_equal(asked.reset_index(drop=True), alone)
    assert set(asked["framework"]) == set(QUESTION) and len(asked) == 4
    assert found["family"].value_counts().to_dict() == {"page": 8, "question": 4}
    together = comparisons(measured, 0.95, WITHIN)
    assert together["family"].eq("page").all()
    of_pair = together["framework"].isin(QUESTION) & together["reference"].isin(QUESTION)
    assert (together.loc[of_pair, "p_adjusted"].to_numpy() > asked["p_adjusted"].to_numpy()).all()


def test_the_order_of_the_two_in_the_question_changes_nothing():
    measured = of_sizes(32, **THREE)
    found = [comparisons(measured, 0.95, WITHIN, question=pair) for pair in (QUESTION, QUESTION[::-1])]
    pd.testing.assert_frame_equal(*found)


def test_the_margin_is_that_of_the_device():
    speeds = {"pytorch": [104.0, 105.0, 106.0, 104.5, 95.0], "tensorflow": [100.0] * 5}
    on_cpu, on_gpu = (
        comparisons(table(runs({"device_uuid": uuid}, **speeds)), 0.95, WITHIN).iloc[0] for uuid in (None, "GPU-1")
    )
    assert (on_cpu["same_within"], on_cpu["verdict"]) == (0.1, "same")
    assert (on_gpu["same_within"], on_gpu["verdict"]) == (0.03, "undecided")
    assert on_cpu["p_same"] < 0.05 < on_gpu["p_same"]


def test_an_undecided_pair_has_the_rounds_that_would_decide_it():
    speeds = {"pytorch": [90.0, 110.0, 101.0], "tensorflow": [100.0] * 3}
    one, several = (
        comparisons(of_sizes(32, **speeds), 0.95, WITHIN),
        comparisons(of_sizes(32, 64, **speeds), 0.95, WITHIN),
    )
    expected = rounds_to_decide(np.log(speeds["pytorch"]).std(ddof=1), 0.95, 0.1, 1, at_least=4, at_most=MOST_ROUNDS)
    assert one["rounds_to_decide"].eq(expected).all() and expected > 3
    assert (several["rounds_to_decide"] > expected).all()
    noisy = comparisons(of_sizes(32, pytorch=[10.0, 1000.0, 100.0], tensorflow=[100.0] * 3), 0.95, WITHIN)
    assert noisy["verdict"].eq("undecided").all() and noisy["rounds_to_decide"].isna().all()


def test_a_decided_or_not_comparable_pair_needs_no_rounds():
    decided = comparisons(of_sizes(32, **THREE | {"pytorch": [200.0, 201.0, 199.0, 202.0]}), 0.95, WITHIN)
    assert decided.loc[decided["verdict"] != "undecided", "rounds_to_decide"].isna().all()
    assert set(decided["verdict"]) == {"faster", "slower", "same"}
    failed = comparisons(table(runs(pytorch=[None], tensorflow=[100.0])), 0.95, WITHIN)
    assert failed["rounds_to_decide"].isna().all()


def test_frameworks_against_themselves_are_of_one_family():
    sides = {
        "pytorch": [100.0, 101.0, 99.0],
        "pytorch~again": [100.0, 100.5, 99.5],
        "pytorch~2-more": [66.0, 67.0, 66.5],
    }
    found = comparisons(of_sizes(32, **sides), 0.95, WITHIN, question=None)
    assert found["family"].eq("page").all() and len(found) == 4
    assert found["verdict"].tolist() == ["faster", "same", "slower", "same"]


def test_a_framework_against_itself_is_found_different_as_seldom_as_promised():
    random = np.random.default_rng(3)
    records = []
    for batch_size in range(1, 601):
        for number in range(1, 6):
            drift = np.exp(random.standard_normal())
            for side in ("pytorch", "tensorflow"):
                speed = float(1000 * drift * np.exp(0.08 * random.standard_normal()))
                records.append(run(side, number, speed, batch_size=batch_size))
    frame = comparisons(table(records), 0.95, WITHIN)
    pairs = frame[frame["framework"] == "pytorch"]
    excluded = (pairs["ci_low"] > 1) | (pairs["ci_high"] < 1)
    assert excluded.equals(pairs["p"] < 0.05)
    assert excluded.mean() == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / 600))
    assert not pairs["verdict"].isin(["faster", "slower"]).any()


def test_rounds_set_by_the_first_ones_give_the_wider_interval():
    measurements = table(runs(pytorch=[90.0, 110.0, 105.0, 101.0, 100.0, 102.0], tensorflow=[100.0] * 6))
    block = ("cpu", "article-cnn", "default", "float32", "device", 32)
    plain, wider = (comparisons(measurements, 0.95, WITHIN, first_rounds=first).iloc[0] for first in ({}, {block: 3}))
    assert wider["ratio"] == plain["ratio"]
    assert wider["ci_low"] < plain["ci_low"] and wider["ci_high"] > plain["ci_high"] and wider["p"] > plain["p"]
    assert (plain["method"], wider["method"]) == (METHOD, f"{METHOD}, no narrower than by the spread of the first 3")


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
    assert row[["ci_low", "ci_high", "p", "p_adjusted", "p_same", "p_same_adjusted", "rounds_to_decide"]].isna().all()
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
    command.main(["comparisons", *options, "--confidence", "0.95", *GIVEN])
    expected = comparisons(measurements, 0.95, WITHIN)
    frame = pd.read_csv(tmp_path / "c.csv", dtype=COLUMNS)
    pd.testing.assert_frame_equal(frame, expected, check_exact=True)


def test_the_command_reads_how_many_rounds_came_first(tmp_path):
    measurements = table(runs(pytorch=[90.0, 110.0, 105.0, 101.0, 100.0, 102.0], tensorflow=[100.0] * 6))
    write_table(measurements, tmp_path / "m.csv")
    block = dict(zip(BLOCK, ("cpu", "article-cnn", "default", "float32", "device", 32), strict=True))
    options = [
        "--measurements",
        str(tmp_path / "m.csv"),
        "--output",
        str(tmp_path / "c.csv"),
        "--confidence",
        "0.95",
        *GIVEN,
    ]
    (tmp_path / "rounds.json").write_text(
        json.dumps([block | {"rounds": 6, "at_least": 3, "own_spread": True}]), encoding="utf-8"
    )
    command.main(["comparisons", *options, "--rounds", str(tmp_path / "rounds.json")])
    assert pd.read_csv(tmp_path / "c.csv")["method"].str.endswith("the first 3").all()
    (tmp_path / "rounds.json").write_text(json.dumps([block | {"rounds": 6}]), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"rounds\.json: the number of first rounds is missing: .*own_spread"):
        command.main(["comparisons", *options, "--rounds", str(tmp_path / "rounds.json")])


def test_one_framework_or_none_leave_nothing_to_compare():
    assert comparisons(table(runs(pytorch=[1.0, 2.0, 3.0])), 0.95, WITHIN).empty
    frame = comparisons(table([]), 0.95, WITHIN)
    assert frame.empty and list(frame.columns) == list(COLUMNS)


def test_the_command_names_the_file_that_it_cannot_use(tmp_path):
    write_table(table(runs(pytorch=[1.0] * 3, tensorflow=[1.0] * 3)), tmp_path / "m.csv")
    options = ["--measurements", str(tmp_path / "m.csv"), "--output", str(tmp_path / "c.csv")]
    with pytest.raises(SystemExit, match=r"m\.csv: confidence is 95\.0, expected a level between 0 and 1"):
        command.main(["comparisons", *options, "--confidence", "95", *GIVEN])
    (tmp_path / "m.csv").unlink()
    with pytest.raises(SystemExit, match=r"m\.csv: cannot be read: No such file"):
        command.main(["comparisons", *options, "--confidence", "0.95", *GIVEN])
