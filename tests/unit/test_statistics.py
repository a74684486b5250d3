"""The interval of a ratio: its coverage is nominal, and it treats all rounds alike."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from framebench.analyse.statistics import (
    MIN_ROUNDS,
    Estimate,
    family,
    geometric_mean_interval,
    holm,
    mean_interval,
    mean_p_value,
    p_value,
    power,
    ratio_of_independent,
    ratio_of_means,
    rounds_needed,
    rounds_to_decide,
    same_p_value,
    smallest_difference,
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


def test_few_enough_pages_without_differences_claim_one():
    pages, verdicts = 2000, 8
    ratios = np.exp(0.05 * np.random.default_rng(6).standard_normal((pages, verdicts, 5)))
    wrong = [min(holm([p_value(one) for one in page])) < 0.05 for page in ratios.tolist()]
    assert np.mean(wrong) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / pages)


def test_a_worked_example_of_sameness():
    # Logs of mean 0, standard error 1 / sqrt(3); with 2 degrees of freedom P(T < -t) = (1 - t / sqrt(2 + t²)) / 2.
    t = math.log(3) * math.sqrt(3)
    assert same_p_value([1 / math.e, 1.0, math.e], 2.0) == pytest.approx((1 - t / math.sqrt(2 + t * t)) / 2)
    assert same_p_value([1.05] * 3, 0.1) == 0 and same_p_value([1.2] * 3, 0.1) == same_p_value([1.1] * 3, 0.1) == 1
    assert same_p_value([1.0, 1.0], 0.1) is None and same_p_value([1.0] * 4, 0.1, first=2) is None


@given(values=RATIOS, margin=st.floats(0.01, 1), wider=st.floats(0, 1), first=st.integers(MIN_ROUNDS, 12))
def test_sameness_is_that_of_the_inverse_and_easier_within_more_and_harder_by_the_first_rounds(
    values, margin, wider, first
):
    p = same_p_value(values, margin)
    assert p == pytest.approx(same_p_value([1 / value for value in values], margin), abs=1e-9)
    assert same_p_value(values, margin + wider) <= p <= same_p_value(values, margin, first)


@given(values=RATIOS, margin=st.floats(0.01, 5), confidence=st.floats(0.5, 0.99))
def test_a_ratio_is_the_same_where_the_interval_of_twice_the_error_lies_within_the_margin(values, margin, confidence):
    interval, p = geometric_mean_interval(values, 2 * confidence - 1 or 1e-9), same_p_value(values, margin)
    assume(abs(p - (1 - confidence)) > 1e-6)
    assert (1 / (1 + margin) < interval.low and interval.high < 1 + margin) == (p < 1 - confidence)


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_an_impossible_margin_is_refused(margin):
    with pytest.raises(ValueError, match="margin is"):
        same_p_value([1.0, 1.1, 1.2], margin)
    with pytest.raises(ValueError, match="margin is"):
        rounds_to_decide(0.1, 0.95, margin, 1, at_least=3, at_most=9)


def test_a_worked_example_of_a_family():
    # The first and second by 2 pairs; the third, where nothing of the first pair is left, by 1.
    assert family([0.01, 0.04], [0.015, 0.9]) == (pytest.approx([0.02, 0.04]), pytest.approx([0.03, 0.9]))
    assert family([0.01], [0.9]) == ([0.01], [0.9]) and family([], []) == ([], [])
    with pytest.raises(ValueError, match="1 p-values of a difference and 0 of sameness"):
        family([0.1], [])


@given(pairs=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_a_family_is_holms_of_a_hypothesis_among_the_other_pairs_less_clear_ones(pairs):
    # The closed test of Bonferroni's, over all that can be true together.
    for one, found in zip(zip(*pairs, strict=True), family(*zip(*pairs, strict=True)), strict=True):
        for place, p in enumerate(one):
            others = [max(pair) for other, pair in enumerate(pairs) if other != place]
            assert found[place] == holm([p, *others])[0]


@given(pairs=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_a_family_is_never_stricter_than_holm_over_both_kinds(pairs):
    differences, samenesses = zip(*pairs, strict=True)
    ours = [p for kind in family(differences, samenesses) for p in kind]
    assert all(one <= other for one, other in zip(ours, holm([*differences, *samenesses]), strict=True))


TRUTHS = {
    "all equal": [0, 0, 0, 0],
    "all at the margin": [1, 1, -1, -1],
    "equal and at the margin": [0, 0, 1, -1],
    "within": [0.5, -0.5, 0.2, 0.01],
    "barely different, clear, equal, at the margin": [0.01, 3, 0, 1],
}


@pytest.mark.parametrize("spread", [0.003, 0.02, 0.08])
@pytest.mark.parametrize("truth", TRUTHS)
def test_few_enough_pages_claim_anything_false(truth, spread):
    pages, margin = 1500, 0.1
    true = math.log1p(margin) * np.array(TRUTHS[truth])
    random = np.random.default_rng(18)
    shared = random.standard_normal((pages, 1, 5))  # as of pairs with a side in common
    logs = true[:, None] + spread * (0.6 * shared + 0.8 * random.standard_normal((pages, 4, 5)))
    wrong = 0
    for page in np.exp(logs).tolist():
        found = family([p_value(one) for one in page], [same_p_value(one, margin) for one in page])
        wrong += any(
            (different < 0.05 and np.sign(np.log(one).mean()) != np.sign(log)) or (same < 0.05 and abs(log) >= 0.0953)
            for one, log, different, same in zip(page, true, *found, strict=True)
        )
    assert wrong / pages <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / pages)


def test_rounds_to_decide_for_a_worked_example():
    # t of 0.975 and of 0.95 by a table, with 5 and 6 degrees of freedom: 2.5706 + 2.0150 and 2.4469 + 1.9432.
    enough = math.log(1.1) * math.sqrt(7) / (2.4469 + 1.9432)
    assert math.log(1.1) * math.sqrt(6) / (2.5706 + 2.0150) < 0.99 * enough
    limits = {"at_least": 5, "at_most": 7}
    assert rounds_to_decide(0.999 * enough, 0.95, 0.1, 1, **limits) == 7
    assert rounds_to_decide(1.001 * enough, 0.95, 0.1, 1, **limits) is None
    assert rounds_to_decide(0.0, 0.95, 0.1, 1, **limits) == 5


@given(deviation=st.floats(0, 0.5), margin=st.floats(0.01, 0.5), comparisons=st.integers(1, 20), ratio=st.floats(-1, 1))
def test_after_so_many_rounds_of_that_spread_every_ratio_is_decided(deviation, margin, comparisons, ratio):
    rounds = rounds_to_decide(deviation, 0.95, margin, comparisons, at_least=3, at_most=400)
    assume(rounds is not None)
    assert rounds <= (rounds_to_decide(deviation * 1.1, 0.95, margin, comparisons + 1, at_least=3, at_most=400) or 400)
    logs = np.linspace(-1, 1, rounds)
    ratios = np.exp(ratio * math.log1p(margin) + 0.999 * deviation * logs / logs.std(ddof=1)).tolist()
    assert min(p_value(ratios), same_p_value(ratios, margin)) < 0.05 / comparisons


@pytest.mark.parametrize(
    ("deviation", "comparisons", "at_least", "at_most", "message"),
    [
        (-0.1, 1, 3, 9, "deviation is -0.1"),
        (math.nan, 1, 3, 9, "deviation is nan"),
        (0.1, 0, 3, 9, "comparisons is 0"),
        (0.1, 1, 2, 9, "at_least is 2"),
        (0.1, 1, 5, 4, "at_least is 5 and at_most 4"),
    ],
)
def test_rounds_to_decide_refuse_what_cannot_be_meant(deviation, comparisons, at_least, at_most, message):
    with pytest.raises(ValueError, match=message):
        rounds_to_decide(deviation, 0.95, 0.1, comparisons, at_least=at_least, at_most=at_most)


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


@pytest.mark.parametrize("rounds", [3, 5, 12])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_the_smallest_difference_is_found_with_the_power_that_it_promises(rounds, confidence):
    """By simulation: of 4,000 campaigns with that true ratio, four in five show it."""
    deviation = 0.08
    difference = smallest_difference(rounds, deviation, confidence)
    assert power(rounds, deviation, difference, confidence) == pytest.approx(0.8, abs=1e-4)
    random = np.random.default_rng(rounds)
    logs = math.log1p(difference) + deviation * random.standard_normal((4000, rounds))
    found = [(p_value(np.exp(one).tolist()) or 1) < 1 - confidence for one in logs]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_rounds_that_do_not_scatter_find_everything():
    assert smallest_difference(3, 0.0, 0.95) == 0
    assert power(3, 0.0, 0.01, 0.95) == 1


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=9).filter(lambda values: len(set(values)) > 1))
def test_a_mean_differs_from_0_where_its_interval_excludes_it(values):
    interval, p = mean_interval(values, 0.95), mean_p_value(values)
    low, high = interval.low, interval.high
    if min(abs(low), abs(high)) > 1e-9 * max(map(abs, values)):
        assert (p < 0.05) == (not low <= 0 <= high)
    assert mean_p_value(values[:2]) is None
