"""Overhead of Keras over its backend, split into a fixed part and one that grows with the batch."""

import numpy as np
import pandas as pd
import pytest

from framebench.analyse import command
from framebench.analyse.overhead import BOTH, COLUMNS, FIXED, GROWS, PARTS, UNTOLD, find, overhead
from framebench.analyse.table import table, write_table
from runs import run

pytestmark = pytest.mark.check

SIZES = (32, 128, 512)


def steps(framework: str, number: int, batch_size: int, step_ms: float, **changes) -> dict:
    return run(
        framework,
        number,
        1e3 * batch_size / step_ms,
        batch_size=batch_size,
        step_ms=step_ms,
        step_synced_p50_ms=1.25 * step_ms,
        **changes,
    )


def campaign(
    fixed_ms=0.0, growth_us=0.0, *, noise=0.0, rounds=5, sizes=SIZES, seed=1, keras="keras-torch"
) -> list[dict]:
    """PyTorch takes 2 ms and 0.1 ms a sample, Keras so much more; every step scatters by this share of itself."""
    random = np.random.default_rng(seed)
    records = []
    for number in range(1, rounds + 1):
        for size in sizes:
            native_ms = 2 + 0.1 * size
            for framework, step_ms in (
                ("pytorch", native_ms),
                (keras, native_ms + fixed_ms + growth_us * size / 1e3),
            ):
                records.append(steps(framework, number, size, step_ms * np.exp(noise * random.standard_normal())))
    return records


def test_a_pair_has_a_row_in_each_block_with_its_difference_and_both_its_parts():
    frame = overhead(table(campaign(1.5, 20)), 0.95)
    assert list(frame.columns) == list(COLUMNS)
    assert list(frame["batch_size"]) == list(SIZES)
    assert set(zip(frame["framework"], frame["native"], strict=True)) == {("keras-torch", "pytorch")}
    assert list(frame["native_step_ms"]) == pytest.approx([5.2, 14.8, 53.2])
    assert list(frame["extra_ms"]) == pytest.approx([1.5 + 0.02 * size for size in SIZES])
    assert list(frame["fixed_ms"]) == pytest.approx([1.5] * 3)
    assert list(frame["growth_us_per_sample"]) == pytest.approx([20] * 3)
    assert [*frame["overlap"], *frame["native_overlap"]] == pytest.approx([0.2] * 6)
    assert set(frame["finding"]) == {BOTH} and set(frame["rounds"]) == {5}


def test_overlap_uses_the_diagnosed_rounds_and_the_rest_uses_all():
    later = {"step_synced_p50_ms": None}
    told = [one if one["round"] == 1 else one | later for one in campaign(1.5, 20)]
    frame = overhead(table(told), 0.95)
    assert [*frame["overlap"], *frame["native_overlap"]] == pytest.approx([0.2] * 6)
    assert set(frame["rounds"]) == {5} and frame["extra_ms_low"].notna().all()
    untold = overhead(table([one | later for one in told]), 0.95)
    assert untold["overlap"].isna().all() and untold["extra_ms_low"].notna().all()


@pytest.mark.parametrize(
    ("fixed_ms", "growth_us", "found", "missed", "falsely"),
    [
        (3, 0, FIXED, {UNTOLD}, {GROWS, BOTH}),
        (0, 60, GROWS, {UNTOLD}, {FIXED, BOTH}),
        (0, 0, UNTOLD, set(), {FIXED, GROWS, BOTH}),
    ],
)
def test_simulated_campaigns_show_the_true_part_and_seldom_another(fixed_ms, growth_us, found, missed, falsely):
    campaigns = 60
    findings = [
        overhead(table(campaign(fixed_ms, growth_us, noise=0.05, seed=seed)), 0.95)["finding"].iloc[0]
        for seed in range(campaigns)
    ]
    chance = 0.05 + 3 * (0.05 * 0.95 / campaigns) ** 0.5  # rate of intervals that exclude 0 where the truth is 0
    assert sum(finding in falsely for finding in findings) / campaigns <= chance
    assert sum(finding == found for finding in findings) / campaigns >= 1 - chance
    assert sum(finding in missed for finding in findings) / campaigns <= chance


def test_one_batch_size_tells_the_difference_but_not_its_parts():
    (row,) = overhead(table(campaign(3, sizes=[64])), 0.95).to_dict("records")
    assert row["extra_ms"] == pytest.approx(3) and row["finding"] == UNTOLD
    assert pd.isna(row["fixed_ms"]) and pd.isna(row["growth_us_per_sample"])


def test_the_parts_come_from_rounds_that_have_every_batch_size():
    records = [one for one in campaign(1.5, 20) if (one["batch_size"], one["round"]) != (512, 5)]
    frame = overhead(table(records), 0.95)
    assert list(frame["rounds"]) == [5, 5, 4] and set(frame["fit_rounds"]) == {4}


def test_two_rounds_have_no_intervals_and_no_finding():
    frame = overhead(table(campaign(1.5, 20, rounds=2)), 0.95)
    assert frame["extra_ms"].notna().all() and frame["extra_ms_low"].isna().all()
    assert set(frame["finding"]) == {UNTOLD}


def test_only_what_computes_under_a_framework_is_its_pair():
    assert overhead(table(campaign(3, keras="keras-jax")), 0.95).empty
    failed = [
        run("pytorch", one["round"], None, batch_size=one["batch_size"])
        for one in campaign()
        if one["framework"] == "pytorch"
    ]
    assert overhead(table([one for one in campaign() if one["framework"] != "pytorch"] + failed), 0.95).empty


def test_the_command_writes_what_the_function_returns(tmp_path):
    measured = table(campaign(1.5, 20, noise=0.05))
    write_table(measured, tmp_path / "m.csv")
    options = ["--measurements", str(tmp_path / "m.csv"), "--output", str(tmp_path / "overhead.csv")]
    command.main(["overhead", *options, "--confidence", "0.95"])
    frame = pd.read_csv(tmp_path / "overhead.csv", dtype=COLUMNS)
    pd.testing.assert_frame_equal(frame, overhead(measured, 0.95), check_exact=True)
    (tmp_path / "m.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="is no table"):
        command.main(["overhead", *options, "--confidence", "0.95"])


def test_findings_of_a_whole_table_are_wrong_no_more_often_than_told():
    """Without any difference, p-values are uniform: of 2,000 tables with 12 parts each, 5 % may have a finding."""
    random = np.random.default_rng(1)
    wrong = 0
    for _ in range(2000):
        rows = [{f"{part}_p": p for part, p in zip(PARTS, random.random(2), strict=True)} for _ in range(6)]
        find(rows, PARTS, 0.95)
        wrong += any(row["finding"] != UNTOLD for row in rows)
    assert 0.03 < wrong / 2000 < 0.065


def test_a_part_without_a_p_value_is_none_of_the_family():
    rows = [{"fixed_p": 0.02, "growth_p": None}, {}]
    find(rows, PARTS, 0.95)
    assert rows == [{"fixed_p_adjusted": 0.02, "finding": FIXED}, {"finding": UNTOLD}]
