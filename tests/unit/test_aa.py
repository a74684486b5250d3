"""The report on frameworks against themselves has the counts found and those expected."""

import numpy as np
import pandas as pd
import pytest

from framebench.analyse.aa import main, report
from framebench.analyse.comparisons import comparisons
from framebench.analyse.power import power, power_table
from framebench.analyse.table import table, write_table
from runs import WITHIN, runs

pytestmark = pytest.mark.check


def campaign(
    cells: int, again: float = 1.0, handicap: str = "~5-more", slower: float = 5 / 6, noise: float = 0.04
) -> pd.DataFrame:
    """Ten rounds of so many cells; `noise` is the spread of a speed."""
    random = np.random.default_rng(9)
    sides = {"pytorch": 100.0, "pytorch~again": 100.0 * again, f"pytorch{handicap}": 100.0 * slower}
    records = []
    for batch_size in range(1, cells + 1):
        speeds = {side: (speed * np.exp(noise * random.standard_normal(10))).tolist() for side, speed in sides.items()}
        records += runs({"batch_size": batch_size}, **speeds)
    return table(records)


def said(measurements: pd.DataFrame) -> str:
    return report(comparisons(measurements, 0.95, WITHIN), measurements)


def test_equal_sides_and_a_handicap_are_reported_with_what_was_to_be_expected():
    measurements = campaign(8)
    text = said(measurements)
    assert "8 comparisons of a framework with itself. 0 of their 95 % intervals exclude 1, no more than chance" in text
    # Binomial, 8 tries of 0.05: P(0) = 0.66 > 0.025, P(at most 2) = 0.994 and P(at most 1) = 0.943 of 0.975.
    assert "as often as they say, 0 to 2 do in 95 % of such campaigns." in text
    assert "0 of the verdicts, adjusted for all 16 of the campaign, claim a difference" in text
    assert "of such campaigns none does. 8 say that the two are the same within the margin." in text
    assert "0 of the verdicts say that the two are the same within the margin, of 8 where they are not." in text
    assert "8 comparisons of a framework with itself doing more work. 8 of their 95 % intervals hold the true" in text
    assert "8 of the intervals find that side slower" in text and "of the campaign, 8 do" in text
    pooled = power_table(measurements, 0.95).iloc[-1]["log_ratio_sd"]
    alone, adjusted = (float(power(10, pooled, 0.2, level)) for level in (0.95, 1 - 0.05 / 16))
    assert f"promises {8 * alone:.1f}" in text and f"at least {8 * adjusted:.1f}" in text
    row = next(line for line in text.splitlines() if "· 1 · pytorch~5-more ÷ pytorch |" in line)
    assert "| 0.833 |" in row and f"| yes ({100 * alone:.0f} %) | yes ({100 * adjusted:.0f} %) |" in row
    assert sum("pytorch~again ÷ pytorch |" in line for line in text.splitlines()) == 8


def test_a_difference_where_there_is_none_is_told():
    text = said(campaign(4, again=1.3))
    assert "4 of their 95 % intervals exclude 1, more than chance explains" in text
    assert "4 of the verdicts, adjusted for all 8 of the campaign, claim a difference" in text


def test_false_sameness_is_counted_at_the_margin_and_beyond():
    """A side that does 10 % more work has a ratio of 10 ÷ 11, which is just outside a margin of 10 %."""
    wrong = said(campaign(4, handicap="~10-more", slower=1.0, noise=0.01))
    assert "4 of the verdicts say that the two are the same within the margin, of 4 where they are not." in wrong
    right = said(campaign(4, handicap="~11-more", slower=11 / 12, noise=0.01))
    assert "0 of the verdicts say that the two are the same within the margin, of 0 where they are not." in right


def test_a_handicap_that_was_missed_is_told():
    text = said(campaign(4, handicap="~100-more", slower=100 / 101))
    assert "0 of the intervals find that side slower" in text and "| 0.990 |" in text
    assert text.count("| no (") == 2 * 4


@pytest.mark.parametrize("sides", [{"pytorch": [1.0] * 3, "tensorflow": [2.0] * 3}, {"pytorch": [1.0] * 3}, {}])
def test_no_framework_beside_itself_is_nothing_to_report(sides):
    text = said(table(runs(**sides)))
    assert "Nothing to report: no framework could be compared with itself under the name `…~again`." in text
    assert "No framework could be compared with itself doing more work" in text


def test_a_pair_that_cannot_be_compared_is_left_out_with_its_reason():
    records = runs(**{"pytorch": [1.0] * 3, "pytorch~again": [1.0, 1.0, None], "pytorch~5-more": [0.8] * 3})
    text = said(table(records))
    assert "Nothing to report" in text and "1 comparisons of a framework with itself doing more work" in text
    assert "pytorch~again ÷ pytorch is left out: not comparable: only 2 rounds, an interval needs 3." in text


def test_the_command_writes_the_report(tmp_path):
    measurements = campaign(2)
    write_table(measurements, tmp_path / "m.csv")
    write_table(comparisons(measurements, 0.95, WITHIN), tmp_path / "c.csv")
    options = ["--measurements", str(tmp_path / "m.csv"), "--output", str(tmp_path / "aa.md"), "--comparisons"]
    main([*options, str(tmp_path / "c.csv")])
    assert (tmp_path / "aa.md").read_text(encoding="utf-8") == said(measurements)
    with pytest.raises(SystemExit, match=r"m\.csv: is no table"):
        main([*options, str(tmp_path / "m.csv")])
