"""Payback: the cost of a longer start, the gain of a faster step, and the number of images at which they balance."""

import numpy as np
import pandas as pd
import pytest

from framebench.analyse import command
from framebench.analyse.payback import AFTER, AT_ONCE, COLUMNS, NEVER, NO_GAIN, delay_s, payback
from framebench.analyse.table import table, write_table
from runs import run

pytestmark = pytest.mark.check

BATCH = 32


def of(track: str, number: int, delay: float, step_ms: float, **changes) -> dict:
    """A run that lost `delay` seconds in its first call of 10 steps and a warm-up of 40, at this steady step time."""
    return run(
        "pytorch",
        number,
        1e3 * BATCH / step_ms,
        track=track,
        steps_per_call=10,
        time_to_first_step_s=0.75 * delay + 10 * step_ms / 1e3,
        warmup_s=0.25 * delay + 40 * step_ms / 1e3,
        warmup_steps=40,
        step_ms=step_ms,
        **changes,
    )


def paid(default: list[tuple[float, float]], tuned: list[tuple[float, float]]) -> dict:
    """The one row of payback, from delay and step time in each round of both tracks."""
    sides = {"default": default, "tuned": tuned}
    records = [
        of(track, number, *values) for track, side in sides.items() for number, values in enumerate(side, start=1)
    ]
    (row,) = payback(table(records), 0.95).to_dict("records")
    return row


def test_the_delay_is_what_first_call_and_warm_up_took_beyond_as_many_steady_steps():
    assert delay_s(table([of("default", 1, 2.0, 20.0)])).tolist() == pytest.approx([2.0])
    assert delay_s(table([run("pytorch", 1, 100.0)])).isna().all()


def test_a_longer_start_has_paid_when_as_much_is_saved():
    # 8 s more at the start, 10 of 20 ms saved in each step of 32 images.
    row = paid([(1.0, 20.0), (1.2, 20.2), (0.8, 19.8)], [(9.0, 10.0), (9.1, 10.1), (8.9, 9.9)])
    assert list(row) == list(COLUMNS)
    assert (row["default_delay_s"], row["tuned_delay_s"], row["extra_s"]) == pytest.approx((1, 9, 8))
    assert row["saved_s_per_image"] == pytest.approx(0.010 / BATCH)
    assert row["images"] == pytest.approx(8 / (0.010 / BATCH))
    assert row["images_low"] < row["images"] < row["images_high"]
    assert (row["verdict"], row["rounds"]) == (AFTER, 3)


def test_settings_without_a_longer_start_pay_at_once():
    row = paid([(1.0, 20.0)] * 3, [(0.9, 10.0), (0.8, 10.0), (1.1, 10.0)])
    assert (row["verdict"], row["images"], row["images_low"]) == (AT_ONCE, 0, 0)
    assert row["images_high"] > 0  # it may still cost a little


def test_slower_settings_never_pay_and_possibly_slower_ones_have_no_number():
    never = paid([(1.0, 10.0), (1.0, 10.1), (1.0, 9.9)], [(0.5, 20.0), (0.6, 20.1), (0.4, 19.9)])
    assert never["verdict"] == NEVER and pd.isna(never["images"])
    unclear = paid([(1.0, 10.0), (1.0, 12.0), (1.0, 9.0)], [(1.0, 9.0), (1.0, 12.5), (1.0, 8.8)])
    assert unclear["verdict"] == NO_GAIN and pd.isna(unclear["images"])
    assert unclear["saved_s_per_image_low"] < 0 < unclear["saved_s_per_image_high"]


def test_too_few_rounds_have_a_number_without_an_interval_and_say_so():
    row = paid([(1.0, 20.0)] * 2, [(9.0, 10.0)] * 2)
    assert row["images"] == pytest.approx(8 / (0.010 / BATCH)) and pd.isna(row["images_low"])
    assert row["verdict"] == "not comparable: only 2 rounds, an interval needs 3"


def test_a_side_that_failed_leaves_a_row_with_its_reason():
    records = [of("default", number, 1.0, 20.0) for number in (1, 2, 3)]
    records += [run("pytorch", number, None, track="tuned", reason="no compiler") for number in (1, 2, 3)]
    (row,) = payback(table(records), 0.95).to_dict("records")
    assert row["verdict"] == "not comparable: pytorch failed: no compiler"
    assert row["rounds"] == 0 and pd.isna(row["images"]) and pd.isna(row["extra_s"])


def test_one_track_alone_has_no_row():
    assert payback(table([of("tuned", 1, 1.0, 10.0)]), 0.95).empty


def test_the_number_of_a_simulated_campaign_lies_in_its_interval_as_often_as_it_says():
    random = np.random.default_rng(1)
    held = []
    for _ in range(150):
        pace = np.exp(0.05 * random.standard_normal((5, 1)))  # the machine, in each round
        delays, steps = np.array([1.0, 9.0]), np.array([20.0, 10.0])
        default, tuned = (
            list(
                zip(
                    delays[i] * pace[:, 0] * np.exp(0.1 * random.standard_normal(5)),
                    steps[i] * pace[:, 0] * np.exp(0.05 * random.standard_normal(5)),
                    strict=True,
                )
            )
            for i in (0, 1)
        )
        row = paid(default, tuned)
        held.append(row["images_low"] <= 8 / (0.010 / BATCH) <= row["images_high"])
    assert sum(held) / len(held) >= 0.95 - 3 * (0.95 * 0.05 / 150) ** 0.5


def test_the_command_writes_what_the_function_returns(tmp_path):
    measured = table([of(track, number, 1.0, 20.0) for track in ("default", "tuned") for number in (1, 2, 3)])
    write_table(measured, tmp_path / "m.csv")
    options = ["--measurements", str(tmp_path / "m.csv"), "--output", str(tmp_path / "payback.csv")]
    command.main(["payback", *options, "--confidence", "0.95"])
    frame = pd.read_csv(tmp_path / "payback.csv", dtype=COLUMNS)
    pd.testing.assert_frame_equal(frame, payback(measured, 0.95), check_exact=True)
    (tmp_path / "m.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="is no table"):
        command.main(["payback", *options, "--confidence", "0.95"])
