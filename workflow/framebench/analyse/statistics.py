"""The mean of paired ratios over rounds, its confidence interval, and its p-values."""

import math
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import covariance, mean, stdev, variance

from scipy.special import nctdtr, nctdtrinc, stdtr, stdtrit

from framebench.measure.protocol import MIN_ROUNDS

POWER = 0.8  # the customary share of true differences that a number of rounds should show
METHOD = "t interval on log ratios of rounds"
RATIO_METHOD = "Fieller's interval of a ratio of means over rounds"


@dataclass(frozen=True)
class Estimate:
    """A mean of n values, or a number made from means; its interval is None if n is below MIN_ROUNDS."""

    mean: float
    low: float | None
    high: float | None
    n: int

    def columns(self, name: str) -> dict[str, float | None]:
        """The columns of a table: the mean under the name, and its interval."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


def geometric_mean_interval(values: Sequence[float], confidence: float, first: int | None = None) -> Estimate:
    """The geometric mean of positive values, one per round, and its two-sided interval at level `confidence`.

    With x = log(values), n of them, m their mean and s their standard deviation (n - 1 in the denominator):
    mean = exp(m), low and high = exp(m -/+ t * s / sqrt(n)), t the (1 + confidence) / 2 quantile of Student's
    distribution with n - 1 degrees of freedom (Student, "The Probable Error of a Mean", Biometrika 6, 1908).
    On the log scale a ratio and its inverse are treated alike.

    Where `rounds_needed` set the number of rounds from the spread of the `first` ones, a small spread was followed by
    few rounds and the interval above is too short; the wider one is taken of it and of Stein's (1945), in which t and
    s are those of the first rounds alone.

    It assumes that the log ratios of the rounds are independent and roughly normal. docs/statistics.md has its
    coverage where they are not, the methods that it was chosen from, and the rule of choice.

    Raises ValueError without values, for a value that is not positive and finite, and for a level that is not
    between 0 and 1.
    """
    _check_level(confidence)
    logs = _logs(values)
    middle = mean(logs)
    if len(logs[:first]) < MIN_ROUNDS:
        return Estimate(math.exp(middle), None, None, len(logs))
    half_width = max(_quantile(confidence, freedom) * error for error, freedom in _errors(logs, first))
    return Estimate(math.exp(middle), math.exp(middle - half_width), math.exp(middle + half_width), len(logs))


def mean_interval(values: Sequence[float], confidence: float) -> Estimate:
    """The mean of values of any sign, one per round, and its two-sided t interval at level `confidence`.

    mean -/+ t * s / sqrt(n), like `geometric_mean_interval` on logarithms. Raises ValueError without values, and for a
    level that is not between 0 and 1.
    """
    _check_level(confidence)
    if not len(values):
        raise ValueError("there is no value to take the mean of")
    middle, n = mean(values), len(values)
    if n < MIN_ROUNDS:
        return Estimate(middle, None, None, n)
    half_width = _quantile(confidence, n - 1) * stdev(values) / math.sqrt(n)
    return Estimate(middle, middle - half_width, middle + half_width, n)


def mean_p_value(values: Sequence[float]) -> float | None:
    """The two-sided p-value of a true mean of 0, by the t test whose interval `mean_interval` gives.

    None where there is no interval. Raises ValueError without values.
    """
    if not len(values):
        raise ValueError("there is no value to take the mean of")
    if len(values) < MIN_ROUNDS:
        return None
    return _two_sided(abs(mean(values)), stdev(values) / math.sqrt(len(values)), len(values) - 1)


def ratio_of_means(numerators: Sequence[float], denominators: Sequence[float], confidence: float) -> Estimate:
    """The mean of the numerators by that of the denominators, a pair per round, and its interval at level `confidence`.

    The interval holds every ratio r of which a t test over the rounds does not reject that numerator - r * denominator
    is 0 on average (Fieller, "Some Problems in Interval Estimation", Journal of the Royal Statistical Society B 16,
    1954). It has no bounds, and low and high are None, where the denominators' own t interval holds 0.
    Raises ValueError without pairs, for a mean denominator of 0, and for a level that is not between 0 and 1.
    """
    _check_level(confidence)
    n = len(numerators)
    above, below = mean_interval(numerators, confidence), mean_interval(denominators, confidence)
    if not below.mean:
        raise ValueError("the mean of the denominators is 0")
    ratio = above.mean / below.mean
    if below.low is None or below.high is None or below.low <= 0 <= below.high:
        return Estimate(ratio, None, None, n)
    # The roots r of (a - r b)² = q (v - 2 r c + r² w): means a and b, variances v and w, covariance c.
    a, b, q = above.mean, below.mean, _quantile(confidence, n - 1) ** 2 / n
    v, w, c = variance(numerators), variance(denominators), covariance(numerators, denominators)
    square, half, rest = b * b - q * w, a * b - q * c, a * a - q * v
    root = math.sqrt(max(0.0, half * half - square * rest))
    return Estimate(ratio, (half - root) / square, (half + root) / square, n)


def p_value(ratios: Sequence[float], first: int | None = None) -> float | None:
    """The two-sided p-value of a true ratio of 1, by the t test whose interval `geometric_mean_interval` gives.

    It is below 1 - confidence where the interval excludes 1, and None where there is no interval.
    Raises ValueError as `geometric_mean_interval` does.
    """
    logs = _logs(ratios)
    if len(logs[:first]) < MIN_ROUNDS:
        return None
    distance = abs(mean(logs))
    return max(_two_sided(distance, error, freedom) for error, freedom in _errors(logs, first))


def same_p_value(ratios: Sequence[float], margin: float, first: int | None = None) -> float | None:
    """The p-value of a true ratio that is not within 1 / (1 + margin) to 1 + margin, `margin` such as 0.1 for 10 %.

    The larger p-value of two one-sided t tests on the log ratios, of a true ratio at or below the lower end and of one
    at or above the upper end (Schuirmann, "A Comparison of the Two One-Sided Tests Procedure and the Power Approach for
    Assessing the Equivalence of Average Bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15, 1987).
    With `first` the larger one of the two spreads that `geometric_mean_interval` looks at; None where there is no
    interval. Raises ValueError as `geometric_mean_interval` does, and for a margin that is not positive and finite.
    """
    limit = _limit(margin)
    logs = _logs(ratios)
    if len(logs[:first]) < MIN_ROUNDS:
        return None
    distance = limit - abs(mean(logs))
    return max(_one_sided(distance, error, freedom) for error, freedom in _errors(logs, first))


def ratio_of_independent(
    values: Sequence[float], others: Sequence[float], confidence: float
) -> tuple[Estimate, float | None]:
    """The ratio of the geometric means of positive values that are not paired, and the p-value of a true ratio of 1.

    Its interval at level `confidence` and the p-value are those of a t test on the logarithms that lets the two scatter
    differently, with one degree of freedom less than the smaller number of values, n: then it covers at least as often
    as it says, however they scatter (Mickey and Brown, "Bounds on the Distribution Functions of the Behrens-Fisher
    Statistic", Annals of Mathematical Statistics 37, 1966). Both are None where n is below MIN_ROUNDS.
    Raises ValueError as `geometric_mean_interval` does.
    """
    _check_level(confidence)
    logs = [_logs(values), _logs(others)]
    distance, n = mean(logs[0]) - mean(logs[1]), min(map(len, logs))
    if n < MIN_ROUNDS:
        return Estimate(math.exp(distance), None, None, n), None
    error = math.sqrt(sum(variance(some) / len(some) for some in logs))
    half_width = _quantile(confidence, n - 1) * error
    p = _two_sided(abs(distance), error, n - 1)
    return Estimate(math.exp(distance), math.exp(distance - half_width), math.exp(distance + half_width), n), p


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values: rejecting where adjusted p < a keeps the family-wise error rate at or below a.

    The i-th smallest of m becomes the largest of (m - j + 1) * p_j over j <= i, and at most 1 (Holm, "A Simple
    Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979). It holds for any
    dependence between the p-values, such as that of pairs with a side in common.
    """
    return _step_down(p_values, range(len(p_values)))


def family(differences: Sequence[float], samenesses: Sequence[float]) -> tuple[list[float], list[float]]:
    """The p-values of a difference and of sameness of m pairs, one each per pair, adjusted together.

    Claiming a difference or sameness where adjusted p < a keeps the probability of any false claim at or below a.
    Holm's method with 2m hypotheses would do, but a pair's two cannot both be true: a ratio is not 1 and outside the
    margin at once. So at most m hypotheses can be true, and each p-value, from the smallest on, is multiplied by the
    number of pairs with a hypothesis still left, m at first (Shaffer, "Modified Sequentially Rejective Multiple Test
    Procedures", Journal of the American Statistical Association 81, 1986).
    Raises ValueError if there are more p-values of one kind than of the other.
    """
    pairs = len(differences)
    if len(samenesses) != pairs:
        raise ValueError(f"there are {pairs} p-values of a difference and {len(samenesses)} of sameness")
    adjusted = _step_down([*differences, *samenesses], [*range(pairs)] * 2)
    return adjusted[:pairs], adjusted[pairs:]


def _step_down(p_values: Sequence[float], exclusive: Sequence[Hashable]) -> list[float]:
    """Adjust p-values whose hypotheses are in groups; at most one of each group is true. `exclusive` names the
    groups."""
    adjusted = [1.0] * len(p_values)
    left = Counter(exclusive)
    groups = len(left)
    largest = 0.0
    for place in sorted(range(len(p_values)), key=p_values.__getitem__):
        largest = max(largest, groups * p_values[place])
        adjusted[place] = min(1.0, largest)
        left[exclusive[place]] -= 1
        groups -= not left[exclusive[place]]
    return adjusted


def rounds_needed(
    log_ratios: Sequence[float], confidence: float, half_width: float, at_least: int, at_most: int
) -> int:
    """Number of rounds in all that brings the interval of a ratio to at most -/+ `half_width`, such as 0.02 for 2 %.

    It uses the standard deviation s of the log ratios of the first `at_least` rounds, once, and never their mean:
    ceil((t * s / log(1 + half_width))²), no fewer than `at_least` and no more than `at_most` (Stein, "A Two-Sample Test
    for a Linear Hypothesis Whose Power Is Independent of the Variance", Annals of Mathematical Statistics 16, 1945).
    With fewer than two log ratios the spread is not known, and `at_least` is enough. Raises ValueError for a level that
    is not between 0 and 1, a half width that is not positive and limits that contradict each other.
    """
    _check_level(confidence)
    if not half_width > 0:
        raise ValueError(f"half_width is {half_width}, expected a positive share, such as 0.02")
    if not 1 <= at_least <= at_most:
        raise ValueError(f"at_least is {at_least} and at_most {at_most}, expected 1 <= at_least <= at_most")
    n = len(log_ratios)
    if n < 2:
        return at_least
    needed = (_quantile(confidence, n - 1) * stdev(log_ratios) / math.log1p(half_width)) ** 2
    return max(at_least, math.ceil(min(needed, at_most)))


def rounds_to_decide(
    deviation: float, confidence: float, margin: float, comparisons: int, *, at_least: int, at_most: int
) -> int | None:
    """Number of rounds that decides a pair for any true ratio: different from 1, or the same within `margin`.

    It uses only the standard deviation of a round's log ratio: the fewest n from `at_least` to `at_most` with (t1 + t2)
    * deviation / sqrt(n) <= log(1 + margin), t1 the 1 - a / 2 and t2 the 1 - a quantile of Student's distribution with
    n - 1 degrees of freedom, a = (1 - confidence) / comparisons (Bonferroni). Then a mean that is too close to 0 for
    the two-sided test is far enough from the margin for the two one-sided ones. None if `at_most` rounds are not
    enough.
    Raises ValueError for a deviation that is negative or not finite, a level that is not between 0 and 1, a margin that
    is not positive and finite, fewer than one comparison, and limits that contradict each other or begin below
    MIN_ROUNDS.
    """
    _check_level(confidence)
    limit = _limit(margin)
    if not 0 <= deviation < math.inf:
        raise ValueError(f"deviation is {deviation}, expected a standard deviation")
    if comparisons < 1:
        raise ValueError(f"comparisons is {comparisons}, expected at least 1")
    if not MIN_ROUNDS <= at_least <= at_most:
        raise ValueError(f"at_least is {at_least} and at_most {at_most}, expected {MIN_ROUNDS} <= at_least <= at_most")
    level = (1 - confidence) / comparisons

    def decided(rounds: int) -> bool:
        both = _quantile(1 - level, rounds - 1) + _quantile(1 - 2 * level, rounds - 1)
        return both * deviation / math.sqrt(rounds) <= limit

    rounds = at_least + bisect_left(range(at_least, at_most + 1), True, key=decided)
    return rounds if rounds <= at_most else None


def power(rounds: int, deviation: float, difference: float, confidence: float) -> float:
    """The probability that this many rounds show a true ratio of 1 + `difference`: its interval excludes 1 on that
    side.

    `deviation` is the standard deviation of a round's log ratio. Exact for independent normal log ratios: over n rounds
    their mean divided by its standard error has the noncentral t distribution with n - 1 degrees of freedom and
    noncentrality log(1 + difference) * sqrt(n) / deviation (Johnson and Welch, "Applications of the Non-Central
    t-Distribution", Biometrika 31, 1940).
    """
    if deviation == 0:
        return 1.0
    noncentrality = math.log1p(difference) * math.sqrt(rounds) / deviation
    return 1 - float(nctdtr(rounds - 1, noncentrality, _quantile(confidence, rounds - 1)))


def smallest_difference(rounds: int, deviation: float, confidence: float, target: float = POWER) -> float:
    """The smallest true difference, as a share such as 0.1 for 10 %, that this many rounds show with power `target`.

    The inverse of `power`, with the same other arguments. 0 if the rounds do not scatter.
    """
    noncentrality = float(nctdtrinc(rounds - 1, 1 - target, _quantile(confidence, rounds - 1)))
    logarithm = noncentrality * deviation / math.sqrt(rounds)
    return math.expm1(logarithm) if logarithm < math.log(sys.float_info.max) else math.inf


def _check_level(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, expected a level between 0 and 1, such as 0.95")


def _limit(margin: float) -> float:
    """The margin as a distance of a log ratio from 0."""
    if not 0 < margin < math.inf:
        raise ValueError(f"margin is {margin}, expected a positive share, such as 0.1")
    return math.log1p(margin)


def _logs(values: Sequence[float]) -> list[float]:
    if not values:
        raise ValueError("there is no value to take the mean of")
    for value in values:
        if not 0 < value < math.inf:
            raise ValueError(f"{value} is among the values, expected positive and finite ones only")
    return [math.log(value) for value in values]


# `mean` and `stdev` are the standard library's, which are exact before they round once: neither the order of the rounds
# nor a rounding error among equal values changes the result.
def _errors(logs: Sequence[float], first: int | None) -> list[tuple[float, int]]:
    """The standard error of the mean and its degrees of freedom, by the spread of all rounds and that of the first."""
    return [(stdev(rounds) / math.sqrt(len(logs)), len(rounds) - 1) for rounds in (logs, logs[:first])]


def _two_sided(distance: float, error: float, freedom: int) -> float:
    return min(1.0, 2 * _one_sided(distance, error, freedom))


def _one_sided(distance: float, error: float, freedom: int) -> float:
    """The p-value of a true distance of 0 or below."""
    if error == 0:
        return float(distance <= 0)
    return float(stdtr(freedom, -distance / error))


def _quantile(confidence: float, freedom: int) -> float:
    return float(stdtrit(freedom, (1 + confidence) / 2))
