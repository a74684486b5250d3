"""Power: the predicted rate is found in simulated campaigns."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import PROJECT
from framebench.analyse import command
from framebench.analyse import power as power_module
from framebench.analyse.power import COLUMNS, MOST_ROUNDS, power, power_table, report, rounds_to_find
from framebench.analyse.statistics import geometric_mean_interval
from framebench.analyse.table import parsed, table, write_table
from framebench.exchange.results import is_run
from framebench.exchange.sealed import unpacked
from runs import runs

pytestmark = pytest.mark.check


@pytest.mark.parametrize(("rounds", "sd", "difference"), [(3, 0.05, 0.2), (5, 0.07, 0.1), (10, 0.1, 0.1)])
def test_so_many_simulated_campaigns_find_the_difference_as_the_power_says(rounds, sd, difference):
    campaigns = 2000
    logs = math.log(1 + difference) + sd * np.random.default_rng(8).standard_normal((campaigns, rounds))
    found = np.mean([geometric_mean_interval(ratios, 0.95).low > 1 for ratios in np.exp(logs).tolist()])
    promised = float(power(rounds, sd, difference, 0.95))
    assert 0.2 < promised < 0.95
    assert found == pytest.approx(promised, abs=3.5 * math.sqrt(promised * (1 - promised) / campaigns))


@pytest.mark.parametrize("difference", [0.03, 0.1, 0.2])
def test_the_rounds_to_find_are_the_first_that_suffice(difference):
    rounds = rounds_to_find(0.08, difference, 0.95)
    assert power(rounds, 0.08, difference, 0.95) >= 0.8 > power(rounds - 1, 0.08, difference, 0.95)


def test_a_large_sample_needs_what_the_normal_distribution_says():
    # n = ((1.959964 + 0.841621) * s / log(1.03))², and a little more for Student's t.
    assert rounds_to_find(0.15, 0.03, 0.95) == pytest.approx(
        ((1.959964 + 0.841621) * 0.15 / math.log(1.03)) ** 2, rel=0.02
    )


def test_rounds_have_a_least_and_a_most():
    assert rounds_to_find(0.0, 0.03, 0.95) == rounds_to_find(1e-4, 0.03, 0.95) == 3
    assert rounds_to_find(1.0, 0.03, 0.95) is None
    assert power(MOST_ROUNDS, 1.0, 0.03, 0.95) < 0.8


def campaign() -> pd.DataFrame:
    even, uneven = [100.0, 100.0, 100.0, 100.0], [90.0, 110.0, 100.0, 105.0]
    records = runs(pytorch=uneven, tensorflow=even)
    records += runs({"batch_size": 64}, pytorch=uneven[:3], tensorflow=[*even[:2], None])
    records += runs({"batch_size": 128}, pytorch=[100.0], tensorflow=[100.0])
    return table(records)


def test_every_pair_with_a_spread_has_a_row_and_every_device_two_pooled_ones():
    frame = power_table(campaign(), 0.95)
    assert list(frame.columns) == list(COLUMNS)
    first, second, alone, hardest = frame.to_dict("records")
    assert first["log_ratio_sd"] == pytest.approx(np.log([0.9, 1.1, 1, 1.05]).std(ddof=1))
    assert (first["degrees_of_freedom"], second["degrees_of_freedom"]) == (3, 1)
    assert (first["framework"], first["reference"], first["verdicts"]) == ("pytorch", "tensorflow", 1)
    pooled = math.sqrt((3 * first["log_ratio_sd"] ** 2 + second["log_ratio_sd"] ** 2) / 4)
    for row in (alone, hardest):
        assert row["log_ratio_sd"] == pytest.approx(pooled) and row["degrees_of_freedom"] == 4
        assert pd.isna([row["workload"], row["batch_size"], row["framework"], row["reference"]]).all()
    assert alone["rounds_10"] == rounds_to_find(pooled, 0.1, 0.95)
    assert (alone["verdicts"], hardest["verdicts"]) == (1, 2)
    assert hardest["rounds_10"] == rounds_to_find(pooled, 0.1, 0.975) > alone["rounds_10"]


def test_where_something_is_asked_the_level_is_shared_by_its_pairs_only():
    frameworks = {"pytorch": [90.0, 110.0, 100.0], "keras-tensorflow": [100.0] * 3, "tensorflow": [100.0, 99.0, 98.0]}
    measured = table([run for size in (32, 64) for run in runs({"batch_size": size}, **frameworks)])
    for question, verdicts in [(None, 6), (("pytorch", "keras-tensorflow"), 2), (("jax", "keras-jax"), 1)]:
        assert power_table(measured, 0.95, question).iloc[-1]["verdicts"] == verdicts


def test_the_command_writes_what_the_function_returns(tmp_path):
    write_table(campaign(), tmp_path / "m.csv")
    options = ["--measurements", str(tmp_path / "m.csv"), "--confidence", "0.95", "--output"]
    command.main(["power", *options, str(tmp_path / "power.csv")])
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "power.csv", dtype=COLUMNS), power_table(campaign(), 0.95), check_exact=True
    )
    power_module.main([*options[:-1], "--page", str(tmp_path / "page.md")])
    assert "| cpu, the hardest of 2 on one page |" in (tmp_path / "page.md").read_text(encoding="utf-8")
    options[options.index("0.95")] = "95"
    with pytest.raises(SystemExit, match=r"m\.csv: confidence is 95\.0, expected a level between 0 and 1"):
        command.main(["power", *options, str(tmp_path / "power.csv")])


def test_nothing_measured_is_an_empty_table():
    assert power_table(table([]), 0.95).empty


def test_the_table_in_the_docs_is_that_of_the_published_records():
    page = (PROJECT / "docs" / "statistics.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"From `(results/published/.*/measurements\.csv)`", page)
    files, _ = unpacked((PROJECT / source).parent / "framebench-results.zip")
    records = [parsed(content) for name, content in files.items() if is_run(name)]
    assert report(power_table(table(records), 0.95), 0.95, Path(source)) in page
