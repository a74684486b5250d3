"""The simulation: it measures the methods that it names, chooses by its rule, and its table is in the docs."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import candidates
import shared_spread
import simulation
from conftest import PROJECT
from framebench.analyse.statistics import METHOD, MIN_ROUNDS, geometric_mean_interval, rounds_to_decide

pytestmark = pytest.mark.check

SIDES = tuple(np.random.default_rng(2).standard_normal((2, 20, 10)) * 0.05)


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The CSV that the command makes of few campaigns."""
    path = tmp_path_factory.mktemp("simulation") / "coverage.csv"
    simulation.main(["--repetitions", "30", "--seed", "7", "--output", str(path)])
    return path


def test_the_command_measures_every_method_scenario_number_of_rounds_and_ratio(command):
    frame = pd.read_csv(command)
    assert list(frame.columns) == list(simulation.COLUMNS)
    places = 4 * len(candidates.SCENARIOS)
    fixed = frame[frame["half_width"].isna()]
    assert (fixed.groupby(["method", "rounds"]).size() == places).all() and set(fixed["rounds"]) == {2, 3, 5, 10}
    assert (frame[frame["half_width"].notna()].groupby(["method", "half_width"]).size() == places).all()
    assert frame["repetitions"].eq(30).all()
    without = frame["coverage"].isna()
    assert without.equals(frame["method"].str.startswith("Wilcoxon") & (frame["rounds"] < 6))
    assert frame.loc[~without, ["coverage", "claimed"]].stack().between(0, 1).all()
    nothing = frame[~without & (frame["ratio"] == 1)]
    assert nothing["claimed"].to_numpy() == pytest.approx(1 - nothing["coverage"].to_numpy())


def test_the_same_seed_gives_the_same_bytes(command, tmp_path, monkeypatch):
    monkeypatch.setattr(simulation, "SCENARIOS", {"drift": candidates.drift})
    simulation.main(["--repetitions", "30", "--seed", "7", "--output", str(tmp_path / "some.csv")])
    lines = (tmp_path / "some.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 50 and set(lines) <= set(command.read_text(encoding="utf-8").splitlines())


def test_the_page_gets_a_table_for_each_number_of_rounds(command, tmp_path):
    text = simulation.report(pd.read_csv(command), 7)
    for rounds in simulation.ROUNDS:
        assert f"**{rounds} rounds**" in text
    assert text.count(f"| {simulation.ONE_SIDED} |") == len(simulation.ROUNDS) + 1
    assert text.count("| 5 %, drift |") == 1


def test_the_choice_in_the_docs_is_the_method_in_use():
    page = (PROJECT / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert f"The rule chooses: **{METHOD}**, nominal from {MIN_ROUNDS} rounds on." in page


@pytest.mark.parametrize("options", [["--repetitions", "0"], ["--seed", "-1"], ["--output", "table.txt"]])
def test_impossible_simulations_are_refused(options, capsys):
    with pytest.raises(SystemExit):
        simulation.main(["--output", "table.md", *options])
    assert "expected at least 1 repetition" in capsys.readouterr().err


def judgement(*rows: tuple[str, int, bool, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["method", "rounds", "nominal", "length"])


def test_the_shortest_method_that_is_nominal_at_five_rounds_is_chosen():
    rows = [("short", 5, False, 1.0), ("chosen", 5, True, 2.0), ("long", 5, True, 3.0)]
    others = [("short", 10, True, 0.5), ("chosen", 2, False, 9.0), ("chosen", 3, True, 4.0), ("long", 2, True, 9.0)]
    assert simulation.chosen(judgement(*rows, *others)) == ("chosen", 3)
    with pytest.raises(ValueError, match="no method has nominal coverage"):
        simulation.chosen(judgement(rows[0], *others))


def test_a_method_that_fails_in_one_scenario_is_not_nominal_unless_the_noise_is_one_sided():
    def nominal(scenario: str) -> bool:
        rows = [("t", "normal", 5, 1.0, 10_000, 0.95), ("t", scenario, 5, 1.0, 10_000, 0.9)]
        frame = pd.DataFrame(rows, columns=["method", "scenario", "rounds", "ratio", "repetitions", "coverage"])
        frame = frame.assign(half_width=math.nan, length=0.1, median_rounds=math.nan, reached=math.nan)
        (judged,) = simulation.judged(simulation.pooled(frame))["nominal"]
        return judged

    assert not nominal("drift") and nominal(simulation.ONE_SIDED)


def test_the_paired_interval_is_that_of_the_statistics():
    a, b = SIDES
    for low, high, one, other in zip(*candidates.paired_t(a, b, np.random.default_rng()), a, b, strict=True):
        estimate = geometric_mean_interval(np.exp(one - other).tolist(), 0.95)
        assert (math.exp(low), math.exp(high)) == pytest.approx((estimate.low, estimate.high))


@pytest.mark.parametrize("half_width", [0.02, 0.05])
def test_the_wider_interval_of_rounds_to_precision_is_that_of_the_statistics(half_width):
    a, b = np.random.default_rng(3).standard_normal((2, 20, candidates.AT_MOST)) * 0.02
    made, rounds = candidates.two_stage(a, b, half_width)
    assert 5 <= min(rounds) < max(rounds) <= 20
    for low, high, n, one, other in zip(*made["wider of the two"], rounds, a, b, strict=True):
        estimate = geometric_mean_interval(np.exp(one - other)[:n].tolist(), 0.95, first=5)
        assert (math.exp(low), math.exp(high)) == pytest.approx((estimate.low, estimate.high))


def test_welchs_interval_is_that_of_scipy():
    a, b = SIDES
    low, high = candidates.welch_t(a, b, np.random.default_rng())
    expected = stats.ttest_ind(a, b, axis=1, equal_var=False).confidence_interval(0.95)
    assert low == pytest.approx(expected.low) and high == pytest.approx(expected.high)


def test_wilcoxons_interval_holds_what_his_exact_test_does_not_reject():
    a, b = SIDES
    for low, high, logs in zip(*candidates.wilcoxon(a, b, np.random.default_rng()), a - b, strict=True):
        inside, outside = [low + 1e-9, high - 1e-9], [low - 1e-9, high + 1e-9]
        assert all(stats.wilcoxon(logs - ratio, method="exact").pvalue > 0.05 for ratio in inside)
        assert all(stats.wilcoxon(logs - ratio, method="exact").pvalue <= 0.05 for ratio in outside)


def test_bootstraps_are_the_quantiles_of_resampled_rounds():
    logs = np.random.default_rng(4).standard_normal(10)
    resampled = np.random.default_rng(5).choice(logs, (100_000, 10))
    t = (resampled.mean(axis=1) - logs.mean()) / resampled.std(axis=1)
    high, low = logs.mean() - logs.std() * np.quantile(t, [0.025, 0.975])
    expected = {
        candidates.percentile_bootstrap: np.quantile(resampled.mean(axis=1), [0.025, 0.975]),
        candidates.bootstrap_t: (low, high),
    }
    for method, ends in expected.items():
        made = [method(logs[None], np.zeros((1, 10)), np.random.default_rng(seed)) for seed in range(100)]
        assert np.mean(made, axis=0)[:, 0] == pytest.approx(ends, abs=0.02)


@pytest.mark.parametrize("scenario", candidates.SCENARIOS)
def test_both_sides_of_every_scenario_are_equally_fast(scenario):
    a, b = candidates.SCENARIOS[scenario](np.random.default_rng(5), (40_000, 5))
    means = (a - b).mean(axis=1)
    assert abs(means.mean()) < 4 * means.std() / math.sqrt(len(means))


def test_the_plain_interval_of_a_page_is_that_of_the_statistics_and_shrinking_lies_between_it_and_the_pages():
    variances = np.random.default_rng(6).chisquare(4, (50, 8))
    assert shared_spread.plain(variances, 5) == (pytest.approx(variances), 4)
    for method in (shared_spread.moderated, shared_spread.capped, shared_spread.capped_without_outliers):
        shrunk, freedom = method(variances, 5)
        assert (freedom >= 4).all() and shrunk.std(axis=1).max() <= variances.std(axis=1).max()
    assert (shared_spread.capped(variances, 5)[1] <= 8).all()


def test_the_prior_of_many_pairs_is_the_one_they_were_drawn_from():
    random = np.random.default_rng(8)
    true = 0.01 * 6 / random.chisquare(6, (1, 200_000))
    prior, freedom = shared_spread._prior(true * random.chisquare(4, true.shape) / 4, 4)
    assert prior.item() == pytest.approx(0.01, rel=0.03) and freedom.item() == pytest.approx(6, rel=0.05)


def test_the_rounds_of_a_page_are_those_of_the_statistics():
    limits = {"at_least": 3, "at_most": shared_spread.MOST}
    expected = [
        rounds_to_decide(spread, 0.95, 0.1, 5, **limits) or shared_spread.MOST for spread in (0.0, 0.031, 0.9, 2.0)
    ]
    assert shared_spread._rounds(np.array([0.0, 0.0305, 0.9, 2.0]), 0.1, 5, 3).tolist() == expected


def test_pages_of_equal_spread_alone_are_simulated_into_their_section(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_spread, "NOISES", ("normal",))
    monkeypatch.setattr(shared_spread, "PAIRS", (5,))
    monkeypatch.setattr(shared_spread, "ODD", {"all alike": 1.0})
    page = tmp_path / "page.md"
    simulation.main(["--section", "pages", "--repetitions", "50", "--seed", "7", "--output", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!-- pages: begin -->") and text.count("**nominal in all**") == 2
    assert "| all alike, 3 rounds |" in text and "| 4 pairs, 3 rounds first |" in text
    with pytest.raises(SystemExit):
        simulation.main(["--section", "pages", "--output", "pages.csv"])
