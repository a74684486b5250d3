"""The noise report, on runs with known noise."""

import json
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.analyse import command
from framebench.analyse.comparisons import comparisons
from framebench.analyse.noise import COLUMNS, noise
from framebench.analyse.table import table, write_table
from framebench.record import BLOCK, write
from runs import WITHIN, run, runs

pytestmark = pytest.mark.check


def blocks(speeds) -> list[dict]:
    """Timed blocks of 100 steps with these speeds in steps/s, one after the other."""
    ends = np.cumsum([0, *(round(100e9 / speed) for speed in speeds)])
    return [{"t0_ns": int(t0), "t1_ns": int(t1), "steps": 100} for t0, t1 in pairwise(ends)]


def reported(records: list[dict], asked=None) -> pd.DataFrame:
    frame = noise(records, comparisons(table(records), 0.95, WITHIN), asked)
    return frame.set_index("framework")


def autocorrelated(generator, correlation: float, count: int) -> np.ndarray:
    """A stationary series of variance 1 whose neighbours are so correlated."""
    series = [generator.standard_normal()]
    for shock in generator.standard_normal(count - 1):
        series.append(correlation * series[-1] + math.sqrt(1 - correlation**2) * shock)
    return np.array(series)


def test_spread_is_the_standard_deviation_by_the_mean_within_and_between_runs():
    records = [
        run("pytorch", 1, 90.0, blocks=blocks([8.0, 10.0, 12.0])),  # 20 %
        run("pytorch", 2, 100.0, blocks=blocks([9.0, 10.0, 11.0])),  # 10 %
        run("pytorch", 3, 110.0, blocks=blocks([9.5, 10.0, 10.5])),  # 5 %
        *runs(tensorflow=[50.0, 50.0, 50.0]),
    ]
    row = reported(records).loc["pytorch"]
    assert row["runs"] == 3
    assert row["within_cv"] == pytest.approx(0.1)
    assert row["between_cv"] == pytest.approx(0.1)


@settings(max_examples=20)
@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_spread_does_not_depend_on_how_fast_a_framework_is(fast, slow):
    speeds, inside = [100.0, 103.0, 99.0], [1.0, 1.2, 0.9]
    records = [
        run(framework, number, speed * scale, blocks=blocks(1000 * scale * value for value in inside))
        for framework, scale in (("pytorch", fast), ("tensorflow", slow))
        for number, speed in enumerate(speeds, start=1)
    ]
    frame = reported(records)
    for column in ("within_cv", "between_cv", "block_autocorrelation"):
        assert frame.loc["pytorch", column] == pytest.approx(frame.loc["tensorflow", column], rel=1e-4)


@pytest.mark.parametrize(("correlation", "count", "error"), [(0.0, 5, 0.05), (0.0, 400, 0.02), (0.6, 400, 0.03)])
def test_the_correlation_of_successive_blocks_is_found_and_none_is_not_invented(correlation, count, error):
    """Its standard error is about 1 / sqrt(blocks in all): 0.016 of 4,000, 0.007 of 20,000; the error is three."""
    generator = np.random.default_rng(20180629)
    number_of_runs = 4000 // count if count < 10 else 50
    records = [
        run("pytorch", number, 100.0, blocks=blocks(100 * np.exp(0.05 * autocorrelated(generator, correlation, count))))
        for number in range(1, number_of_runs + 1)
    ]
    found = noise(records, comparisons(table(records), 0.95, WITHIN))["block_autocorrelation"].item()
    assert found == pytest.approx(correlation, abs=error)


def test_runs_that_failed_are_not_in_it_and_flags_are_counted_among_the_others():
    records = [
        run("pytorch", 1, 100.0, flags=["busy_machine"], others_cpu_cores=1.0, load_at_start=2.0),
        run("pytorch", 2, 100.0, flags=["busy_machine", "warmup_not_converged"], others_cpu_cores=3.0),
        run("pytorch", 3, 100.0, others_cpu_cores=0.0),
        run("pytorch", 4, None, flags=["busy_machine"], others_cpu_cores=9.0),
        run("pytorch", 5, 900.0, status="invalid", reason="the loss did not move"),
        run("tensorflow", 1, None),
    ]
    frame = reported(records)
    row = frame.loc["pytorch"]
    assert (row["runs"], row["busy_runs"], row["not_converged_runs"]) == (3, 2, 1)
    assert (row["between_cv"], row["others_cpu_cores"], row["load_at_start"]) == (0, 1.0, 2.0)
    assert frame.loc["tensorflow", ["runs", "busy_runs", "not_converged_runs"]].tolist() == [0, 0, 0]
    assert frame.loc["tensorflow", ["within_cv", "between_cv", "block_autocorrelation", "cpu_mhz"]].isna().all()


def test_a_record_from_before_the_machine_was_watched_has_nulls_there():
    record = run("pytorch", 1, 100.0, blocks=blocks([10.0, 11.0]))
    del record["others_cpu_cores"], record["cpu_mhz"]
    row = reported([record]).loc["pytorch"]
    assert row["within_cv"] > 0
    assert row[["others_cpu_cores", "cpu_mhz"]].isna().all()


def test_one_run_of_one_block_has_no_spread():
    row = reported([run("pytorch", 1, 100.0, blocks=blocks([10.0]))]).loc["pytorch"]
    assert row["runs"] == 1
    assert row[["within_cv", "between_cv", "block_autocorrelation", "half_width", "reached"]].isna().all()


def test_a_cell_reached_what_was_asked_where_the_widest_interval_of_its_block_is_as_narrow():
    near, far = [100.0, 101.0, 99.0], [100.0, 160.0, 60.0]
    records = [
        *runs(pytorch=near, tensorflow=[50.0] * 3, **{"keras-tensorflow": far}),
        *runs({"batch_size": 64}, pytorch=near, tensorflow=[50.0] * 3),
        *runs({"batch_size": 128}, pytorch=near, tensorflow=[50.0] * 3),
    ]
    compared = comparisons(table(records), 0.95, WITHIN)
    asked = {tuple(record[name] for name in BLOCK): 0.05 for record in records if record["batch_size"] < 128}
    frame = noise(records, compared, asked)
    wide, narrow, free = (frame[frame["batch_size"] == size] for size in (32, 64, 128))
    assert len(wide) == 3 and wide["half_width"].nunique() == 1 and wide["half_width"].iloc[0] > 0.5
    (interval,) = compared[(compared["batch_size"] == 64) & (compared["framework"] == "pytorch")].itertuples()
    assert narrow["half_width"].tolist() == pytest.approx([interval.ci_high / interval.ratio - 1] * 2)
    assert wide["reached"].eq(False).all() and narrow["reached"].eq(True).all() and free["reached"].isna().all()
    assert wide["half_width_asked"].eq(0.05).all() and free["half_width_asked"].isna().all()
    assert free["half_width"].notna().all()


def test_a_block_without_an_interval_has_not_reached_what_was_asked():
    records = runs(pytorch=[100.0, 101.0], tensorflow=[50.0, 51.0])
    frame = reported(records, {tuple(records[0][name] for name in BLOCK): 0.5})
    assert frame["half_width"].isna().all() and frame["reached"].eq(False).all()


def test_the_command_reads_what_the_others_write(tmp_path):
    records = runs(pytorch=[100.0, 101.0, 99.0], tensorflow=[50.0, 51.0, 49.5])
    paths = [tmp_path / f"{place}.json" for place in range(len(records))]
    for path, record in zip(paths, records, strict=True):
        write(path, record)
    compared = comparisons(table(records), 0.95, WITHIN)
    block = {name: records[0][name] for name in BLOCK}
    (tmp_path / "plan.txt").write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
    (tmp_path / "rounds.json").write_text(json.dumps([block | {"rounds": 3, "ci_half_width": 0.04}]), encoding="utf-8")
    write_table(compared, tmp_path / "comparisons.csv")
    options = ["records plan.txt", "comparisons comparisons.csv", "rounds rounds.json", "output noise.csv"]
    words = [word for option in options for word in (f"--{option.split()[0]}", str(tmp_path / option.split()[1]))]
    command.main(["noise", *words])
    expected = noise(records, compared, {tuple(block.values()): 0.04})
    assert expected["half_width_asked"].eq(0.04).all()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "noise.csv").astype(COLUMNS), expected)
