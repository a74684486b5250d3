"""The interval of a ratio: it covers the truth as often as it says, and treats all rounds alike."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebench.analyse.statistics import MIN_ROUNDS, Estimate, geometric_mean_interval

RATIOS = st.lists(st.floats(0.01, 100), min_size=MIN_ROUNDS, max_size=12)


def approximately(estimate: Estimate) -> tuple:
    return tuple(pytest.approx(value, rel=1e-9) for value in (estimate.mean, estimate.low, estimate.high))


@pytest.mark.parametrize(("confidence", "spread"), [(0.95, 0.02), (0.95, 0.5), (0.8, 0.1)])
def test_five_rounds_cover_the_true_ratio_as_often_as_they_say(confidence, spread):
    random = np.random.default_rng(1)
    experiments = 4000
    covered = 0
    for ratios in 1.3 * np.exp(spread * random.standard_normal((experiments, 5))):
        estimate = geometric_mean_interval(ratios.tolist(), confidence)
        covered += estimate.low <= 1.3 <= estimate.high
    error = math.sqrt(confidence * (1 - confidence) / experiments)
    assert covered / experiments == pytest.approx(confidence, abs=3.5 * error)


def test_a_worked_example():
    # Logs 0, 1, 2: mean 1, standard deviation 1; t = 4.302653 with 2 degrees of freedom by a table.
    estimate = geometric_mean_interval([1.0, math.e, math.e**2], 0.95)
    assert math.log(estimate.mean) == pytest.approx(1)
    assert math.log(estimate.high) == pytest.approx(1 + 4.302653 / math.sqrt(3), abs=1e-6)
    assert math.log(estimate.low) == pytest.approx(1 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert estimate.n == 3


@pytest.mark.parametrize("values", [[2.0], [2.0, 8.0]])
def test_fewer_than_three_values_have_a_mean_and_no_interval(values):
    estimate = geometric_mean_interval(values, 0.95)
    assert estimate == Estimate(pytest.approx(math.sqrt(values[0] * values[-1])), None, None, len(values))


@given(value=st.floats(1e-6, 1e6), n=st.integers(MIN_ROUNDS, 20))
def test_equal_values_have_an_interval_without_width(value, n):
    estimate = geometric_mean_interval([value] * n, 0.95)
    assert estimate.low == estimate.mean == estimate.high == pytest.approx(value)


@given(values=RATIOS)
def test_the_mean_lies_in_the_interval_and_between_the_values(values):
    estimate = geometric_mean_interval(values, 0.95)
    assert estimate.low <= estimate.mean <= estimate.high
    assert min(values) * (1 - 1e-9) <= estimate.mean <= max(values) * (1 + 1e-9)


@given(values=RATIOS, scale=st.floats(0.001, 1000))
def test_a_scale_moves_the_estimate_and_nothing_else(values, scale):
    estimate = geometric_mean_interval(values, 0.95)
    scaled = geometric_mean_interval([scale * value for value in values], 0.95)
    expected = Estimate(scale * estimate.mean, scale * estimate.low, scale * estimate.high, estimate.n)
    assert (scaled.mean, scaled.low, scaled.high) == approximately(expected)


@given(values=RATIOS)
def test_inverse_values_have_the_mirrored_interval(values):
    estimate = geometric_mean_interval(values, 0.95)
    inverse = geometric_mean_interval([1 / value for value in values], 0.95)
    mirrored = Estimate(1 / estimate.mean, 1 / estimate.high, 1 / estimate.low, estimate.n)
    assert (inverse.mean, inverse.low, inverse.high) == approximately(mirrored)


@given(data=st.data(), values=RATIOS)
def test_the_order_of_the_rounds_changes_nothing_at_all(data, values):
    shuffled = data.draw(st.permutations(values))
    assert geometric_mean_interval(shuffled, 0.95) == geometric_mean_interval(values, 0.95)


@given(values=RATIOS, low=st.floats(0.5, 0.9), step=st.floats(0.01, 0.09))
def test_more_confidence_is_never_narrower(values, low, step):
    narrow, wide = (geometric_mean_interval(values, level) for level in (low, low + step))
    assert wide.low <= narrow.low and narrow.high <= wide.high


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_value_that_is_no_ratio_is_refused(value):
    with pytest.raises(ValueError, match="expected positive and finite"):
        geometric_mean_interval([1.0, value, 2.0], 0.95)


def test_no_values_and_an_impossible_level_are_refused():
    with pytest.raises(ValueError, match="no value"):
        geometric_mean_interval([], 0.95)
    for level in (0.0, 1.0, 95.0, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            geometric_mean_interval([1.0, 2.0, 3.0], level)
