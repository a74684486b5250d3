"""The checks of clock and order, on campaigns with known drift."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from framebench.analyse import command
from framebench.analyse import order as module
from framebench.analyse.order import COLUMNS, order, permutation_p
from framebench.analyse.table import table, write_table
from runs import run

pytestmark = pytest.mark.check

RUN_S = 12.0
CELLS = 6
NOISE = 0.05


def campaign(
    seed: int, rounds: int = 5, drift_per_hour: float = 0.0, round_effect: float = 0.0, place_effect: float = 0.0
) -> pd.DataFrame:
    """Measurements of cells with speeds far apart, in rounds of random order, of runs that take RUN_S each.

    Log speeds have noise of standard deviation NOISE with heavy tails, plus the drift: this much for each round, and
    this much from the first to the last place of a round.
    """
    generator = np.random.default_rng(seed)
    records = []
    for number in range(1, rounds + 1):
        for place, cell in enumerate(generator.permutation(CELLS)):
            at_s = RUN_S * len(records)
            log_speed = cell + NOISE * generator.standard_t(3) / math.sqrt(3)
            log_speed += math.log1p(drift_per_hour) * at_s / 3600 + round_effect * number
            log_speed += place_effect * place / (CELLS - 1)
            changes = {"order": len(records) + 1, "started_unix_s": 1.8e9 + at_s, "batch_size": int(cell) + 1}
            records.append(run("pytorch", number, math.exp(log_speed), **changes))
    return table(records)


@pytest.mark.parametrize(("column", "effects"), [("drift_p", {}), ("order_p", {}), ("order_p", {"round_effect": 0.1})])
def test_where_there_is_nothing_to_find_every_p_value_is_as_likely(column, effects, monkeypatch):
    """The order's p-value also holds where rounds differ, since the seed drew the places whatever the machine does."""
    monkeypatch.setattr(module, "PERMUTATIONS", 99)
    values = [order(campaign(seed, **effects))[column].item() for seed in range(120)]
    assert kstest(values, "uniform").pvalue > 0.01
    assert np.mean(np.array(values) <= 0.05) < 0.1


def test_a_drift_of_known_size_is_found_and_is_not_taken_for_an_effect_of_the_order():
    """The slope's standard error is NOISE / (sd of the hours × sqrt(runs)): 0.05 / (0.58 × 24.5) = 0.0035 per hour."""
    drifting = campaign(seed=1, rounds=100, drift_per_hour=-0.1)
    row = order(drifting).iloc[0]
    assert row["hours"] == pytest.approx(599 * RUN_S / 3600)
    assert row["drift_per_hour"] == pytest.approx(-0.1, abs=3 * 0.0035)
    assert row["drift_p"] == 1 / (1 + module.PERMUTATIONS)
    assert row["order_p"] > 0.05


def test_a_drift_is_found_in_as_few_rounds_as_an_interval_needs():
    found = [order(campaign(seed, rounds=3, round_effect=0.1))["drift_p"].item() for seed in range(20)]
    assert max(found) < 0.05


def test_an_effect_of_the_place_inside_a_round_is_found():
    row = order(campaign(seed=2, rounds=20, place_effect=0.1)).iloc[0]
    assert row["order_p"] < 0.01


def test_devices_have_a_row_each_and_only_runs_that_are_ok_count():
    one = campaign(seed=3)
    other = campaign(seed=4, drift_per_hour=-0.9).assign(device="h200")
    failed = one.iloc[:3].assign(round=99, status="failed", images_per_s=np.nan, started_unix_s=2e9)
    frame = order(pd.concat([one, other, failed], ignore_index=True))
    assert list(frame.columns) == list(COLUMNS)
    assert frame["device"].tolist() == ["cpu", "h200"]
    assert frame["runs"].tolist() == [30, 30]
    pd.testing.assert_frame_equal(frame.iloc[:1], order(one))


@pytest.mark.parametrize("rounds", [0, 1])
def test_with_one_round_or_none_nothing_can_be_said(rounds):
    frame = order(campaign(seed=5, rounds=rounds))
    assert len(frame) == rounds
    assert frame[["drift_per_hour", "drift_p", "order_p"]].isna().all(axis=None)


def test_the_p_value_of_all_orders_is_their_exact_share():
    """Two of the six orders of 1, 2, 3 are as far from the mean as the observed one, from top to bottom."""
    values = np.array([1.0, 2.0, 3.0])
    p = permutation_p(values, values, np.zeros(3, int))
    assert p == pytest.approx(1 / 3, abs=4 * math.sqrt(2 / 9 / module.PERMUTATIONS))
    assert permutation_p(values, values, np.arange(3)) == 1


def test_the_command_writes_what_a_reader_gets_back_and_the_same_again(tmp_path):
    measurements = campaign(seed=6)
    write_table(measurements, tmp_path / "measurements.csv")
    for output in ("order.csv", "again.csv"):
        command.main(
            ["order", "--measurements", str(tmp_path / "measurements.csv"), "--output", str(tmp_path / output)]
        )
    assert (tmp_path / "order.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    frame = pd.read_csv(tmp_path / "order.csv").astype(COLUMNS)
    pd.testing.assert_frame_equal(frame, order(measurements))
    with pytest.raises(SystemExit, match=r"none\.csv: cannot be read"):
        command.main(["order", "--measurements", str(tmp_path / "none.csv"), "--output", str(tmp_path / "order.csv")])
