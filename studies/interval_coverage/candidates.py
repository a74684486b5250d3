"""Campaigns to simulate and the interval methods to choose from: see `studies/interval_coverage/simulation.py`."""

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import stdtrit

from framebench.analyse.statistics import METHOD, rounds_needed

Array = NDArray[np.floating]
Sides = tuple[Array, Array]  # log speeds of the two sides, each of shape (campaigns, rounds)
Interval = tuple[Array, Array]  # lower and upper ends of log ratios, each of shape (campaigns,)

CONFIDENCE = 0.95
AT_LEAST, AT_MOST = 5, 20
TWO_STAGE = ("spread of all rounds", f"spread of the first {AT_LEAST}", "wider of the two")


# Scenarios: log speeds of two equally fast sides. Spreads are standard deviations, so 0.05 is 5 %.
def normal(random: Generator, shape: tuple[int, int]) -> Sides:
    return 0.05 * random.standard_normal(shape), 0.05 * random.standard_normal(shape)


def autocorrelated_blocks(random: Generator, shape: tuple[int, int]) -> Sides:
    a, b = normal(random, shape)
    return a + _median_of_blocks(random, shape), b + _median_of_blocks(random, shape)


def _median_of_blocks(random: Generator, shape: tuple[int, int]) -> Array:
    """Five blocks inside each process, 10 % spread, each correlated 0.8 with the one before; their median."""
    return 0.1 * np.median(_autocorrelated(random, shape, 5, 0.8), axis=-1)


def _autocorrelated(random: Generator, shape: tuple[int, int], count: int, correlation: float) -> Array:
    """A series of so many values of spread 1 in each process, each correlated with the one before."""
    series = random.standard_normal((*shape, count))
    for later in range(1, count):
        series[..., later] = correlation * series[..., later - 1] + math.sqrt(1 - correlation**2) * series[..., later]
    return series


def drift(random: Generator, shape: tuple[int, int]) -> Sides:
    """The machine slows by 20 % over the campaign, from run to run; which side of a round runs first is random."""
    a, b = normal(random, shape)
    first = random.integers(2, size=shape)
    place = 2 * np.arange(shape[1])
    slope = math.log(0.8) / (2 * shape[1] - 1)
    return a + slope * (place + first), b + slope * (place + 1 - first)


def round_effect(random: Generator, shape: tuple[int, int]) -> Sides:
    a, b = normal(random, shape)
    shared = 0.1 * random.standard_normal(shape)
    return a + shared, b + shared


def heavy_tails(random: Generator, shape: tuple[int, int]) -> Sides:
    """Student's t with 3 degrees of freedom, scaled to a spread of 5 %."""
    scale = 0.05 / math.sqrt(3)
    return scale * random.standard_t(3, shape), scale * random.standard_t(3, shape)


def slow_processes(random: Generator, shape: tuple[int, int]) -> Sides:
    a, b = normal(random, shape)
    return a + _slow(random, shape), b + _slow(random, shape)


def unequal_spread(random: Generator, shape: tuple[int, int]) -> Sides:
    return 0.03 * random.standard_normal(shape), 0.12 * random.standard_normal(shape)


def slow_processes_on_one_side(random: Generator, shape: tuple[int, int]) -> Sides:
    """As `slow_processes`, but on one side only; the sides are equally fast in geometric mean."""
    a, b = normal(random, shape)
    return a + _slow(random, shape) - 0.1 * math.log(0.7), b


def _slow(random: Generator, shape: tuple[int, int]) -> Array:
    """One process in ten is 30 % slower."""
    return math.log(0.7) * (random.random(shape) < 0.1)


def interleaved_median(random: Generator, shape: tuple[int, int]) -> Sides:
    return _interleaved(random, shape, np.median)


def interleaved_mean(random: Generator, shape: tuple[int, int]) -> Sides:
    return _interleaved(random, shape, np.mean)


def _interleaved(random: Generator, shape: tuple[int, int], over: Callable[..., Array]) -> Sides:
    """Ten cycles of a window of each side: processes spread by 5 %, cycles by 6.5 % for both sides alike, windows by
    12 %, each correlated 0.5 with the one before of its process. Of a run counts the median or mean over its windows.
    """
    cycles = 0.065 * random.standard_normal((*shape, 10))

    def side() -> Array:
        windows = cycles + 0.12 * _autocorrelated(random, shape, 10, 0.5)
        return 0.05 * random.standard_normal(shape) + over(windows, axis=-1)

    return side(), side()


ONE_SIDED = "slow processes, one side"
SCENARIOS: dict[str, Callable[[Generator, tuple[int, int]], Sides]] = {
    "normal": normal,
    "autocorrelated blocks": autocorrelated_blocks,
    "drift": drift,
    "round effect": round_effect,
    "heavy tails": heavy_tails,
    "slow processes": slow_processes,
    "unequal spread": unequal_spread,
    "interleaved, median": interleaved_median,
    "interleaved, mean": interleaved_mean,
    ONE_SIDED: slow_processes_on_one_side,
}


# Methods: the interval of the log ratio from the log speeds of both sides.
def paired_t(a: Array, b: Array, random: Generator) -> Interval:
    """Student 1908; `statistics.geometric_mean_interval`, for many campaigns at once."""
    logs = a - b
    return _about(
        logs.mean(axis=1), t_quantile(logs.shape[1] - 1) * logs.std(axis=1, ddof=1) / math.sqrt(logs.shape[1])
    )


def welch_t(a: Array, b: Array, random: Generator) -> Interval:
    """Welch, "The Generalization of Student's Problem", Biometrika 34, 1947: rounds are not paired."""
    n = a.shape[1]
    of_a, of_b = a.var(axis=1, ddof=1) / n, b.var(axis=1, ddof=1) / n
    freedom = (of_a + of_b) ** 2 * (n - 1) / (of_a**2 + of_b**2)
    return _about(a.mean(axis=1) - b.mean(axis=1), t_quantile(freedom) * np.sqrt(of_a + of_b))


def percentile_bootstrap(a: Array, b: Array, random: Generator) -> Interval:
    """Quantiles of the mean over resampled rounds (Efron, Annals of Statistics 7, 1979)."""
    logs = a - b
    return _tails(logs @ _resamples(logs.shape[1], random))


def bootstrap_t(a: Array, b: Array, random: Generator) -> Interval:
    """Quantiles of the resampled t (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 12)."""
    logs = a - b
    weights = _resamples(logs.shape[1], random)
    middle, spread = logs.mean(axis=1), logs.std(axis=1)
    centred = logs - middle[:, None]
    means = centred @ weights
    # A resample of one round alone has no spread, and a t without bounds.
    with np.errstate(divide="ignore"):
        low, high = _tails(means / np.sqrt(np.maximum(centred**2 @ weights - means**2, 0)))
    return middle - high * spread, middle - low * spread


def wilcoxon(a: Array, b: Array, random: Generator) -> Interval:
    """The ratios that Wilcoxon's signed-rank test does not reject (Hodges and Lehmann, "Estimates of Location Based
    on Rank Tests", Annals of Mathematical Statistics 34, 1963): at 95 % from six rounds on."""
    logs = a - b
    n = logs.shape[1]
    ways = np.ones(1)  # of a rank sum to be 0, 1, …
    for rank in range(1, n + 1):
        ways = np.concatenate([ways, np.zeros(rank)]) + np.concatenate([np.zeros(rank), ways])
    left_out = int((ways.cumsum() / 2**n <= (1 - CONFIDENCE) / 2).sum())
    if not left_out:
        return np.full(len(logs), np.nan), np.full(len(logs), np.nan)
    first, second = np.triu_indices(n)
    averages = np.sort((logs[:, first] + logs[:, second]) / 2, axis=1)
    return averages[:, left_out - 1], averages[:, -left_out]


def median_t(a: Array, b: Array, random: Generator) -> Interval:
    """The median, with the spread from the median absolute deviation; both constants are those of the normal."""
    logs = a - b
    middle = np.median(logs, axis=1)
    spread = 1.4826 * np.median(np.abs(logs - middle[:, None]), axis=1)
    return _about(middle, t_quantile(logs.shape[1] - 1) * math.sqrt(math.pi / 2) * spread / math.sqrt(logs.shape[1]))


METHODS: dict[str, Callable[[Array, Array, Generator], Interval]] = {
    METHOD: paired_t,
    "Welch's t interval on logs, unpaired": welch_t,
    "percentile bootstrap over rounds": percentile_bootstrap,
    "bootstrap-t over rounds": bootstrap_t,
    "Wilcoxon's signed ranks": wilcoxon,
    "t interval on median and MAD": median_t,
}


def two_stage(a: Array, b: Array, half_width: float) -> tuple[dict[str, Interval], Array]:
    """Intervals over as many of the first rounds as `rounds_needed` asks for after AT_LEAST, and their number."""
    logs = a - b
    first = logs[:, :AT_LEAST]
    rounds = np.array([rounds_needed(row, CONFIDENCE, half_width, AT_LEAST, AT_MOST) for row in first.tolist()])
    measured = np.arange(AT_MOST) < rounds[:, None]
    middle = logs.mean(axis=1, where=measured)
    of_all = t_quantile(rounds - 1) * logs.std(axis=1, ddof=1, where=measured) / np.sqrt(rounds)
    of_first = t_quantile(AT_LEAST - 1) * first.std(axis=1, ddof=1) / np.sqrt(rounds)
    halves = (of_all, of_first, np.maximum(of_all, of_first))
    return {name: _about(middle, half) for name, half in zip(TWO_STAGE, halves, strict=True)}, rounds


def _about(middle: Array, half: Array) -> Interval:
    return middle - half, middle + half


def t_quantile(freedom: Array | int) -> Array:
    return stdtrit(freedom, (1 + CONFIDENCE) / 2)


def _resamples(n: int, random: Generator) -> Array:
    """How much each of n rounds weighs in each of 999 resamples; shape (n, 999)."""
    return random.multinomial(n, [1 / n] * n, size=999).T / n


def _tails(values: Array) -> Interval:
    """Both ends of the middle CONFIDENCE of the values; rank k of 999 is their quantile k / 1000."""
    low = round((1 - CONFIDENCE) / 2 * 1000) - 1
    ordered = np.partition(values, [low, -1 - low], axis=1)
    return ordered[:, low], ordered[:, -1 - low]
