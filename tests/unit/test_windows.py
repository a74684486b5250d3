"""The study of the noise of interleaved rounds, on records with known noise."""

import numpy as np
import pytest

import windows
from framebench.analyse.table import TableError

pytestmark = pytest.mark.check

CELL = {"device": "cpu", "workload": "article-cnn", "track": "default", "precision": "float32", "input": "device"}
CELL |= {"batch_size": 128}
COUNT, STEPS = 10, 50


def campaign(rounds: int, process: float, cycle: float, window: float) -> list[dict]:
    """Records of two frameworks with the noise of processes, of cycles that both share, and of blocks."""
    generator = np.random.default_rng(3)
    records = []
    for number in range(1, rounds + 1):
        shared = cycle * generator.standard_normal(COUNT)
        for framework in ("pytorch", "tensorflow"):
            logs = process * generator.standard_normal() + shared + window * generator.standard_normal(COUNT)
            blocks = [{"t0_ns": 0, "t1_ns": round(4e8 * np.exp(-one)), "steps": STEPS} for one in logs]
            timed_s = sum(one["t1_ns"] for one in blocks) / 1e9
            records.append(
                CELL
                | {"framework": framework, "round": number, "status": "ok", "interleaved_with": 1, "blocks": blocks}
                | {"timed_s": timed_s, "lead_in_s": 0.5, "round_s": 30.0}
            )
    return records


def test_the_parts_of_the_noise_are_told_apart():
    (row,) = windows.components(campaign(400, process=0.05, cycle=0.07, window=0.1)).to_dict("records")
    assert row["window"] == pytest.approx(np.hypot(0.07, 0.1), rel=0.1)
    assert row["shared"] == pytest.approx(0.07, rel=0.1)
    # Both are of a ratio, which has the noise of two processes.
    assert row["cycle"] == pytest.approx(0.1 * np.sqrt(2), rel=0.1)
    assert row["process"] == pytest.approx(0.05 * np.sqrt(2), rel=0.1)
    assert row["deviation"] == pytest.approx(np.sqrt(2 * 0.05**2 + 2 * 0.1**2 / COUNT), rel=0.1)
    assert row["block_s"] == pytest.approx(2 * (0.4 + 0.05), rel=0.05)
    assert row["fixed_s"] == pytest.approx(30 - COUNT * row["block_s"])


def test_the_half_width_of_a_given_time_falls_with_it_and_needs_three_rounds():
    row = windows.components(campaign(20, process=0.05, cycle=0.07, window=0.1)).iloc[0]
    widths = [windows.half_width(row, COUNT, minutes) for minutes in (1, 2, 4, 8)]
    assert widths[0] is None
    assert widths[1] > widths[2] > widths[3] > 0
    text = windows.report(windows.components(campaign(20, 0.05, 0.07, 0.1)), "a campaign")
    assert "| article-cnn, batch 128, default |" in text


def test_rounds_that_were_not_interleaved_tell_nothing():
    records = [one | {"interleaved_with": 0} for one in campaign(4, 0.05, 0.07, 0.1)]
    with pytest.raises(TableError, match="no block with two interleaved rounds"):
        windows.components(records)
