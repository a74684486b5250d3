"""Breakdown of the difference between the steps of two frameworks: device or host."""

import numpy as np
import pandas as pd
import pytest

from framebench.analyse import command
from framebench.analyse.overhead import UNTOLD
from framebench.analyse.table import table, write_table
from framebench.analyse.why import BOTH, COLUMNS, DEVICE, HOST, split, why
from runs import run

pytestmark = pytest.mark.check


def step(framework: str, number: int, device_ms: float | None, host_ms: float, **changes) -> dict:
    """A run on a CPU that computes for half of the profiled time."""
    step_ms = (device_ms or 0) + host_ms
    busy_ms = None if device_ms is None else device_ms / 2
    told = {} if busy_ms is None else {"profiled_step_ms": busy_ms + host_ms, "device_busy_ms": busy_ms}
    return run(framework, number, 1e3 / step_ms, **({"step_ms": step_ms} | told | changes))


def campaign(device_ms=0.0, host_ms=0.0, *, noise=0.0, rounds=5, seed=1) -> list[dict]:
    """PyTorch's steps compute for 20 ms and wait for 2 ms, Keras's for so much more; both scatter."""
    random = np.random.default_rng(seed)
    return [
        step(framework, number, *(part * np.exp(noise * random.standard_normal()) for part in parts))
        for number in range(1, rounds + 1)
        for framework, parts in (("pytorch", (20, 2)), ("keras-torch", (20 + device_ms, 2 + host_ms)))
    ]


def test_a_step_is_split_on_a_cpu_by_the_time_that_it_waits_and_on_a_gpu_by_the_time_that_it_computes():
    records = [
        step("pytorch", 1, 20, 5),
        # The host is slowed to 50 ms a step, and the GPU computes 20 all the same.
        run("jax", 1, 40, step_ms=25, profiled_step_ms=50, device_busy_ms=20, device_uuid="GPU-1"),
        # More than the step took: the runs scatter.
        run("tensorflow", 1, 40, step_ms=25, profiled_step_ms=50, device_busy_ms=26, device_uuid="GPU-1"),
        step("keras-jax", 1, None, 25),
        # On a CPU, no longer than the step.
        step("keras-torch", 1, 20, 5) | {"step_ms": 4},
    ]
    parts = split(pd.DataFrame(records)).set_index("framework")[["device_ms", "host_ms"]]
    assert parts.loc["pytorch"].tolist() == pytest.approx([20, 5])
    assert parts.loc["jax"].tolist() == pytest.approx([20, 5])
    assert parts.loc["tensorflow"].tolist() == pytest.approx([25, 0])
    assert parts.loc["keras-jax"].isna().all()
    assert parts.loc["keras-torch"].tolist() == [0, 4]


def test_a_pair_has_a_row_with_the_longer_one_first_and_what_makes_it_longer():
    (row,) = why(pd.DataFrame(campaign(3, 1.5)), 0.95).to_dict("records")
    assert list(row) == list(COLUMNS)
    assert (row["framework"], row["reference"], row["rounds"]) == ("keras-torch", "pytorch", 5)
    told = [row[name] for name in ("step_ms", "reference_step_ms", "longer_ms", "longer_device_ms", "longer_host_ms")]
    assert told == pytest.approx([26.5, 22, 4.5, 3, 1.5])
    assert (row["device_ms"], row["reference_host_ms"]) == pytest.approx((23, 2))
    assert row["finding"] == BOTH


def test_a_gain_in_one_part_and_a_loss_in_the_other_is_both():
    (row,) = why(pd.DataFrame(campaign(-3, 4)), 0.95).to_dict("records")
    assert (row["framework"], row["finding"]) == ("keras-torch", BOTH)
    assert (row["longer_device_ms"], row["longer_host_ms"]) == pytest.approx((-3, 4))


@pytest.mark.parametrize(
    ("device_ms", "host_ms", "true", "falsely"),
    [(8, 0, DEVICE, {HOST, BOTH}), (0, 2, HOST, {DEVICE, BOTH}), (0, 0, UNTOLD, {DEVICE, HOST, BOTH})],
)
def test_simulated_campaigns_show_the_true_part_and_seldom_another(device_ms, host_ms, true, falsely):
    campaigns = 40
    findings = [
        why(pd.DataFrame(campaign(device_ms, host_ms, noise=0.05, seed=seed)), 0.95)["finding"].iloc[0]
        for seed in range(campaigns)
    ]
    chance = 0.05 + 3 * (0.05 * 0.95 / campaigns) ** 0.5  # rate of intervals that exclude 0 where the truth is 0
    assert sum(finding in falsely for finding in findings) / campaigns <= chance
    assert sum(finding == true for finding in findings) / campaigns >= 1 - chance


def test_only_rounds_in_which_both_were_told_count():
    records = campaign(3)
    records[0] |= {"device_busy_ms": None}
    records[3] |= {"status": "failed"}
    (row,) = why(pd.DataFrame(records), 0.95).to_dict("records")
    assert row["rounds"] == 3
    nothing = [one | {"device_busy_ms": None} for one in records]
    assert why(pd.DataFrame(nothing), 0.95).empty


def test_one_diagnosed_round_has_numbers_without_intervals_and_claims_nothing():
    later = dict.fromkeys(["profiled_step_ms", "device_busy_ms"])
    records = [one if one["round"] == 1 else one | later for one in campaign(30, 30)]
    (row,) = why(table(records), 0.95).to_dict("records")
    assert (row["rounds"], row["finding"]) == (1, UNTOLD)
    assert (row["longer_device_ms"], row["longer_host_ms"]) == pytest.approx((30, 30))
    assert all(pd.isna(row[f"longer_{part}_{end}"]) for part in ("ms", "device_ms") for end in ("low", "high"))


def test_the_command_writes_the_table(tmp_path):
    write_table(table(campaign(3)), tmp_path / "measurements.csv")
    command.main(
        ["why", f"--measurements={tmp_path}/measurements.csv", "--confidence=0.95", f"--output={tmp_path}/why.csv"]
    )
    assert pd.read_csv(tmp_path / "why.csv")["finding"].tolist() == [DEVICE]
