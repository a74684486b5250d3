"""The interval of a ratio: it covers the truth as often as it says, and treats all rounds alike."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from framebench.analyse.statistics import (
    MIN_ROUNDS,
    Estimate,
    geometric_mean_interval,
    holm,
    mean_interval,
    p_value,
    ratio_of_independent,
    ratio_of_means,
    rounds_needed,
)

pytestmark = pytest.mark.check

RATIOS = st.lists(st.floats(0.01, 100), min_size=MIN_ROUNDS, max_size=12)


def approximately(estimate: Estimate) -> tuple:
    return tuple(pytest.approx(value, rel=1e-9) for value in (estimate.mean, estimate.low, estimate.high))


NOISE = {
    "normal": lambda random, shape: 0.05 * random.standard_normal(shape),
    "wide": lambda random, shape: 0.5 * random.standard_normal(shape),
    "heavy tails": lambda random, shape: 0.05 * random.standard_t(3, shape),
    "one process in ten is slow": lambda random, shape: (
        0.05 * random.standard_normal(shape) - 0.4 * (random.random(shape) < 0.1) + 0.4 * (random.random(shape) < 0.1)
    ),
}


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_five_rounds_cover_the_true_ratio_at_least_as_often_as_they_say(confidence, noise):
    experiments = 2000
    covered = 0
    for ratios in 1.3 * np.exp(NOISE[noise](np.random.default_rng(1), (experiments, 5))):
        estimate = geometric_mean_interval(ratios.tolist(), confidence)
        covered += estimate.low <= 1.3 <= estimate.high
    error = math.sqrt(confidence * (1 - confidence) / experiments)
    assert covered / experiments >= confidence - 3 * error
    if noise in ("normal", "wide"):  # where the interval is exact, it is no longer than it has to be either
        assert covered / experiments <= confidence + 3 * error


def test_a_worked_example():
    # Logs 0, 1, 2: mean 1, standard deviation 1; t = 4.302653 with 2 degrees of freedom by a table.
    estimate = geometric_mean_interval([1.0, math.e, math.e**2], 0.95)
    assert math.log(estimate.mean) == pytest.approx(1)
    assert math.log(estimate.high) == pytest.approx(1 + 4.302653 / math.sqrt(3), abs=1e-6)
    assert math.log(estimate.low) == pytest.approx(1 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert estimate.n == 3
    # t = sqrt(3) with 2 degrees of freedom, whose distribution has a closed form: p = 1 - t / sqrt(2 + t²).
    assert p_value([1.0, math.e, math.e**2]) == pytest.approx(1 - math.sqrt(3 / 5))


@pytest.mark.parametrize("values", [[2.0], [2.0, 8.0]])
def test_fewer_than_three_values_have_a_mean_and_no_interval(values):
    estimate = geometric_mean_interval(values, 0.95)
    assert estimate == Estimate(pytest.approx(math.sqrt(values[0] * values[-1])), None, None, len(values))
    assert p_value(values) is None


@given(value=st.floats(1e-6, 1e6), n=st.integers(MIN_ROUNDS, 20))
def test_equal_values_have_an_interval_without_width(value, n):
    estimate = geometric_mean_interval([value] * n, 0.95)
    assert estimate.low == estimate.mean == estimate.high == pytest.approx(value)
    assert p_value([value] * n) == (value == 1)


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


@given(values=RATIOS, confidence=st.floats(0.5, 0.999), first=st.none() | st.integers(MIN_ROUNDS, 12))
def test_the_p_value_is_below_one_minus_the_level_where_the_interval_excludes_1(values, confidence, first):
    estimate, p = geometric_mean_interval(values, confidence, first), p_value(values, first)
    assume(abs(p - (1 - confidence)) > 1e-9)
    assert (estimate.low > 1 or estimate.high < 1) == (p < 1 - confidence)


@given(values=RATIOS, first=st.integers(MIN_ROUNDS, 12))
def test_the_spread_of_the_first_rounds_never_makes_an_interval_shorter(values, first):
    plain, wider = (geometric_mean_interval(values, 0.95, one) for one in (None, first))
    assert wider.mean == plain.mean and wider.low <= plain.low and wider.high >= plain.high
    assert p_value(values, first) >= p_value(values)
    if first >= len(values):
        assert wider == plain


def test_a_worked_example_of_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1] and holm([]) == []


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(p_values=P_VALUES, more=st.floats(0, 1))
def test_adjusting_keeps_the_order_and_more_verdicts_never_make_a_p_value_smaller(p_values, more):
    adjusted = holm(p_values)
    assert all(p <= one <= 1 for p, one in zip(p_values, adjusted, strict=True))
    assert [one for _, one in sorted(zip(p_values, adjusted, strict=True))] == sorted(adjusted)
    of_more = holm([*p_values, more])
    assert all(one <= other for one, other in zip(adjusted, of_more, strict=False))


def test_of_pages_with_nothing_to_find_few_enough_claim_a_difference():
    pages, verdicts = 2000, 8
    ratios = np.exp(0.05 * np.random.default_rng(6).standard_normal((pages, verdicts, 5)))
    wrong = [min(holm([p_value(one) for one in page])) < 0.05 for page in ratios.tolist()]
    assert np.mean(wrong) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / pages)


def test_rounds_needed_for_a_worked_example():
    # Standard deviation 0.02 of 5, t = 2.776445 by a table: (2.776445 * 0.02 / log(1.02))² = 7.86.
    logs = [0.02 * x for x in (-1, -1, 0, 1, 1)]
    assert rounds_needed(logs, 0.95, 0.02, 5, 20) == 8
    assert rounds_needed(logs, 0.95, 0.02, 5, 6) == 6
    assert rounds_needed(logs, 0.95, 0.2, 5, 20) == 5
    assert rounds_needed([3 + x for x in logs], 0.95, 0.02, 5, 20) == 8
    assert rounds_needed(logs[:1], 0.95, 0.02, 5, 20) == rounds_needed([], 0.95, 0.02, 5, 20) == 5


@given(values=RATIOS, half_width=st.floats(0.001, 0.9), narrower=st.floats(0.01, 1), more=st.integers(0, 20))
def test_rounds_needed_stay_in_their_limits_and_grow_with_what_is_asked(values, half_width, narrower, more):
    logs = [math.log(value) for value in values]
    needed = rounds_needed(logs, 0.95, half_width, 5, 5 + more)
    assert 5 <= needed <= rounds_needed(logs, 0.95, half_width * narrower, 5, 5 + more) <= 5 + more


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ((1.0, 0.02, 5, 20), "confidence is 1.0"),
        ((0.95, 0.0, 5, 20), "half_width is 0.0, expected a positive share"),
        ((0.95, math.nan, 5, 20), "half_width is nan"),
        ((0.95, 0.02, 5, 4), "at_least is 5 and at_most 4"),
        ((0.95, 0.02, 0, 4), "at_least is 0"),
    ],
)
def test_a_rule_for_rounds_that_cannot_be_meant_is_refused(rule, message):
    with pytest.raises(ValueError, match=message):
        rounds_needed([0.1, 0.2, 0.3], *rule)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_value_that_is_no_ratio_is_refused(value):
    with pytest.raises(ValueError, match="expected positive and finite"):
        geometric_mean_interval([1.0, value, 2.0], 0.95)
    with pytest.raises(ValueError, match="expected positive and finite"):
        p_value([1.0, value, 2.0])


def test_no_values_and_an_impossible_level_are_refused():
    with pytest.raises(ValueError, match="no value"):
        geometric_mean_interval([], 0.95)
    for level in (0.0, 1.0, 95.0, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            geometric_mean_interval([1.0, 2.0, 3.0], level)


def test_a_mean_of_any_sign_has_the_t_interval_of_its_values():
    # Mean 0, standard deviation 1; t = 4.302653 with 2 degrees of freedom by a table.
    estimate = mean_interval([-1.0, 0.0, 1.0], 0.95)
    assert (estimate.mean, estimate.n) == (0, 3)
    assert estimate.high == -estimate.low == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    assert mean_interval([2.0, 4.0], 0.95) == Estimate(3.0, None, None, 2)
    with pytest.raises(ValueError, match="no value"):
        mean_interval([], 0.95)


def test_the_ends_of_a_ratio_of_means_are_the_ratios_that_the_t_test_just_does_not_reject():
    above, below = [3.0, 5.0, 4.0, 6.0], [1.0, 2.0, 1.5, 1.7]
    estimate = ratio_of_means(above, below, 0.95)
    assert estimate.mean == pytest.approx(4.5 / 1.55)
    for end in (estimate.low, estimate.high):
        left = mean_interval([a - end * b for a, b in zip(above, below, strict=True)], 0.95)
        assert min(abs(left.low), abs(left.high)) == pytest.approx(0, abs=1e-9)


def test_a_ratio_of_means_has_no_bounds_where_the_denominator_may_be_0_or_rounds_are_too_few():
    assert ratio_of_means([1.0, 2.0, 3.0], [-1.0, 1.0, 2.0], 0.95) == Estimate(pytest.approx(3), None, None, 3)
    assert ratio_of_means([1.0, 3.0], [1.0, 1.0], 0.95) == Estimate(2.0, None, None, 2)
    with pytest.raises(ValueError, match="denominators is 0"):
        ratio_of_means([1.0, 2.0], [1.0, -1.0], 0.95)


def test_five_rounds_cover_the_true_ratio_of_means_as_often_as_they_say():
    random = np.random.default_rng(1)
    covered = []
    for _ in range(2000):
        shared = random.standard_normal(5)  # what slows a round slows both sides
        above, below = 2 + 0.4 * random.standard_normal(5) + 0.3 * shared, 1 + 0.15 * random.standard_normal(5)
        estimate = ratio_of_means(above.tolist(), (below + 0.1 * shared).tolist(), 0.95)
        if estimate.low is not None:
            covered.append(estimate.low <= 2 <= estimate.high)
    assert len(covered) > 1900
    assert sum(covered) / len(covered) == pytest.approx(0.95, abs=0.015)


def test_a_worked_example_of_values_that_are_not_paired():
    # Logs 0, 1, 2 and 0, 0, 0: means 1 and 0, squared errors 1/3 and 0; t = 4.302653 with 2 degrees of freedom.
    found, p = ratio_of_independent([1, math.e, math.e**2], [1, 1, 1], 0.95)
    half_width = 4.302653 / math.sqrt(3)
    assert (found.mean, math.log(found.low), math.log(found.high)) == pytest.approx(
        (math.e, 1 - half_width, 1 + half_width)
    )
    assert p == pytest.approx(0.2254033)


@pytest.mark.parametrize(("n", "m", "wider"), [(5, 5, 1), (5, 3, 4), (3, 5, 4), (3, 3, 1)])
def test_values_that_are_not_paired_cover_the_true_ratio_at_least_as_often_as_they_say(n, m, wider):
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        values, others = (
            1.3 * np.exp(0.05 * random.standard_normal(n)),
            np.exp(0.05 * wider * random.standard_normal(m)),
        )
        found, _ = ratio_of_independent(values.tolist(), others.tolist(), 0.95)
        covered += found.low <= 1.3 <= found.high
    assert covered / 2000 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 2000)


def test_values_that_are_not_paired_have_no_interval_where_there_are_few_and_none_in_width_where_they_are_equal():
    assert ratio_of_independent([2.0, 2.0], [1.0] * 5, 0.95) == (Estimate(2.0, None, None, 2), None)
    found, p = ratio_of_independent([2.0] * 3, [1.0] * 3, 0.95)
    assert (found.low, found.high, p) == (found.mean, found.mean, 0.0)
    assert ratio_of_independent([1.0] * 3, [1.0] * 3, 0.95)[1] == 1.0
