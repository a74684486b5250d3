"""The mean of paired ratios over rounds, with the interval in which the true ratio is expected."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from scipy.special import stdtrit

METHOD = "t interval on log ratios of rounds"
MIN_ROUNDS = 3


@dataclass(frozen=True)
class Estimate:
    """A geometric mean of n values; its interval is None where n is below MIN_ROUNDS."""

    mean: float
    low: float | None
    high: float | None
    n: int


def geometric_mean_interval(values: Sequence[float], confidence: float) -> Estimate:
    """The geometric mean of positive values, one per round, and its two-sided interval at level `confidence`.

    With x = log(values), n of them, m their mean and s their standard deviation (n - 1 in the denominator):
    mean = exp(m), low and high = exp(m -/+ t * s / sqrt(n)), t the (1 + confidence) / 2 quantile of Student's
    distribution with n - 1 degrees of freedom (Student, "The Probable Error of a Mean", Biometrika 6, 1908).
    On the log scale a ratio and its inverse are treated alike.

    It assumes that the log ratios of the rounds are independent and roughly normal. Interleaving makes that
    plausible, since a drift of the machine that both sides of a round share cancels in the ratio, but does
    not prove it; a method whose coverage is better may replace this one, which METHOD names.

    Raises ValueError without values, for a value that is not positive and finite, and for a level that is not
    between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, expected a level between 0 and 1, such as 0.95")
    if not values:
        raise ValueError("there is no value to take the mean of")
    for value in values:
        if not 0 < value < math.inf:
            raise ValueError(f"{value} is among the values, expected positive and finite ones only")
    # `mean` and `stdev` are the standard library's, which are exact before they round once: neither the order
    # of the rounds nor a rounding error among equal values shows in the result.
    logs = [math.log(value) for value in values]
    n = len(logs)
    middle = mean(logs)
    if n < MIN_ROUNDS:
        return Estimate(math.exp(middle), None, None, n)
    half_width = float(stdtrit(n - 1, (1 + confidence) / 2)) * stdev(logs) / math.sqrt(n)
    return Estimate(math.exp(middle), math.exp(middle - half_width), math.exp(middle + half_width), n)
