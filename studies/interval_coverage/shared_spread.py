"""Pages of pairs to simulate: may the pairs of a page share what is known of their spread?

Two questions, each with the rule of `simulation`: nominal within three standard errors in every place, over all pairs
of a page and over its odd one alone. Is an interval nominal where each pair's variance is shrunk to that of the page
(`pooled_spreads`), and is the plain t interval over all rounds where their number was set from the page's spread
(`two_stage`)?
"""

import math
import zlib
from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import fdtrc, polygamma, psi

from candidates import CONFIDENCE, SCENARIOS, Array, t_quantile
from framebench.analyse import markdown
from framebench.analyse.statistics import rounds_to_decide

PAIRS = (5, 8, 15)
ROUNDS = (3, 4, 5, 8)
NOISES = ("normal", "heavy tails", "slow processes", "interleaved, median")
# How many times as far the last pair of a page, its odd one, spreads as each of the others.
ODD = {"all alike": 1.0, "one 3.5 times as noisy": 3.5, "one 4 times as quiet": 0.25}

FIRST, MOST, MARGINS = (3, 4), 12, (0.1, 0.15, 0.2)
OUTLIER = 0.05  # the p-value of a variance by the page's, below which it is not shrunk


def plain(variances: Array, rounds: int) -> tuple[Array, Array | int]:
    """Each pair's own variance and its degrees of freedom."""
    return variances, rounds - 1


def moderated(variances: Array, rounds: int, most: float = math.inf) -> tuple[Array, Array]:
    """Variances, of shape (pages, pairs), shrunk to those of their page, and the degrees of freedom.

    Prior variance and degrees of freedom, `most` at most, are fitted to the moments of the logarithms (Smyth, "Linear
    Models and Empirical Bayes Methods for Assessing Differential Expression in Microarray Experiments", Statistical
    Applications in Genetics and Molecular Biology 3, 2004, section 6.2).
    """
    own = rounds - 1
    prior, freedom = _prior(variances, own)
    freedom = np.minimum(freedom, min(most, own * variances.shape[1]))  # no more is known than by pooling all
    return (freedom * prior + own * variances) / (freedom + own), freedom + own


def _prior(variances: Array, own: int) -> tuple[Array, Array]:
    """Prior variance and degrees of freedom of each page, both of shape (pages, 1)."""
    logs = np.log(variances) - psi(own / 2) + math.log(own / 2)
    middle = logs.mean(axis=1, keepdims=True)
    excess = logs.var(axis=1, ddof=1, keepdims=True) - polygamma(1, own / 2)
    half = _inverse_trigamma(np.maximum(excess, 1e-6))
    return np.exp(middle + psi(half) - np.log(half)), 2 * half


def _inverse_trigamma(values: Array) -> Array:
    """Newton's method of Smyth's appendix."""
    found = 0.5 + 1 / values
    for _ in range(8):
        there = polygamma(1, found)
        found += there * (1 - there / values) / polygamma(2, found)
    return found


def capped(variances: Array, rounds: int) -> tuple[Array, Array]:
    """As `moderated`, the page counting no more than the pair itself."""
    return moderated(variances, rounds, rounds - 1)


def capped_without_outliers(variances: Array, rounds: int) -> tuple[Array, Array]:
    """As `capped`, but the pair's own where its variance is an outlier of the page by an F test."""
    shrunk, freedom = capped(variances, rounds)
    prior, of_prior = _prior(variances, rounds - 1)
    upper = fdtrc(rounds - 1, of_prior, variances / prior)
    outlier = np.minimum(upper, 1 - upper) < OUTLIER / 2
    return np.where(outlier, variances, shrunk), np.where(outlier, rounds - 1, freedom)


INTERVALS: dict[str, Callable[[Array, int], tuple[Array, Array | int]]] = {
    "own spread": plain,
    "moderated": moderated,
    "moderated, capped": capped,
    "capped, outliers their own": capped_without_outliers,
}


def pooled_spreads(pages: int, seed: int) -> pd.DataFrame:
    """Coverage of INTERVALS: a row per method, noise, odd pair, size of page and number of rounds."""
    rows = []
    for place in product(NOISES, ODD, PAIRS, ROUNDS):
        logs = _drawn(seed, pages, place)
        rounds = place[-1]
        for method, interval in INTERVALS.items():
            variances, freedom = interval(logs.var(axis=2, ddof=1), rounds)
            half = t_quantile(freedom) * np.sqrt(variances / rounds)
            rows.append((method, *place, *_covered(np.abs(logs.mean(axis=2)) <= half, half)))
    return pd.DataFrame(rows, columns=["method", "noise", "odd", "pairs", "rounds", *SUMMARY])


SUMMARY = ("coverage", "nominal", "odd_coverage", "odd_nominal", "length")


def _covered(held: Array, half: Array) -> tuple[float, bool, float, bool, float]:
    """The columns of SUMMARY, from whether each interval holds the truth and its half width, by page and pair."""
    shares = []
    for some in (held.mean(axis=1), held[:, -1].astype(float)):
        error = max(some.std(), 1e-9) / math.sqrt(len(some))
        shares += [float(some.mean()), bool(some.mean() >= CONFIDENCE - 3 * error)]
    coverage, nominal, odd_coverage, odd_nominal = shares
    return coverage, nominal, odd_coverage, odd_nominal, float(np.median(half) * 2)


def _drawn(seed: int, pages: int, place: tuple[str, str, int, int]) -> Array:
    """Log ratios of true ratio 1, of shape (pages, pairs, rounds); `place` is noise, odd pair, pairs and rounds."""
    noise, odd, pairs, rounds = place
    random = np.random.default_rng([seed, zlib.crc32(f"{noise} {odd} {pairs} {rounds}".encode())])
    a, b = SCENARIOS[noise](random, (pages * pairs, rounds))
    logs = (a - b).reshape(pages, pairs, rounds)
    logs[:, -1] *= ODD[odd]
    return logs


def two_stage(pages: int, seed: int) -> pd.DataFrame:
    """Coverage over all rounds, whose number follows from the spread of the first ones.

    A row by whose spread it was, that of the page, of its other pairs or of the pair alone, and which interval
    (`spread`: the plain t over all rounds, or the wider of it and Stein's), noise, odd pair, size of page, `first`
    rounds and margin.
    `rounds_to_decide` says how many rounds, and MOST where those are not enough.
    """
    rows = []
    for noise, odd, pairs in product(NOISES, ODD, (4, *PAIRS)):
        logs = _drawn(seed, pages, (noise, odd, pairs, MOST))
        for first, margin in product(FIRST, MARGINS):
            own = logs[..., :first].var(axis=2, ddof=1)
            pooled = np.broadcast_to(own.mean(axis=1, keepdims=True), own.shape)
            others = (own.sum(axis=1, keepdims=True) - own) / (pairs - 1)
            for spread, variances in (("the page's", pooled), ("the others'", others), ("its own", own)):
                rounds = _rounds(np.sqrt(variances), margin, pairs, first)
                measured = np.arange(MOST) < rounds[..., None]
                middle = logs.mean(axis=2, where=measured)
                of_all = t_quantile(rounds - 1) * logs.std(axis=2, ddof=1, where=measured) / np.sqrt(rounds)
                wider = np.maximum(of_all, t_quantile(first - 1) * np.sqrt(own / rounds))
                for interval, half in (("plain t", of_all), ("wider of the two", wider)):
                    place = (f"{spread}, {interval}", noise, odd, pairs, first, margin)
                    rows.append((*place, *_covered(np.abs(middle) <= half, half)))
    return pd.DataFrame(rows, columns=["spread", "noise", "odd", "pairs", "first", "margin", *SUMMARY])


def _rounds(deviations: Array, margin: float, comparisons: int, first: int) -> Array:
    """`rounds_to_decide`, at most MOST, of deviations rounded up to a tenth of a percent."""
    steps = np.arange(1001) / 1000
    limits = {"at_least": first, "at_most": MOST}
    needed = np.array([rounds_to_decide(step, CONFIDENCE, margin, comparisons, **limits) or MOST for step in steps])
    return needed[np.searchsorted(steps, deviations).clip(max=1000)]


def report(pages: int, seed: int) -> str:
    """The tables of the section `pages` of docs/statistics.md."""
    spreads, staged = pooled_spreads(pages, seed), two_stage(pages, seed)
    noises = ", ".join(NOISES)
    sizes = ", ".join(map(str, PAIRS))
    return "\n".join(
        [
            f"{pages:,} pages of each kind; seed {seed}. A cell has the lowest coverage in % of any noise ({noises}) "
            f"and size of page ({sizes} pairs), over all pairs and over the odd one alone, and in brackets the upper ÷ "
            "lower end of the median interval. In italics where any of these is below nominal by more than three "
            "standard errors.\n",
            "**Spread of the page**\n",
            _crossed(spreads, {"odd": "{}", "rounds": "{} rounds"}, "method"),
            f"**Rounds from the spread of the first**, at most {MOST}: any margin of "
            f"{', '.join(f'{100 * margin:g} %' for margin in MARGINS)}, pages of 4 pairs too; by whose "
            "spread, and which interval over all rounds\n",
            _crossed(staged, {"pairs": "{} pairs", "first": "{} rounds first"}, "spread"),
        ]
    )


def _crossed(frame: pd.DataFrame, down: dict[str, str], across: str) -> str:
    """The columns named by `down` down, as its texts put their values, and those of the column `across`."""
    columns = list(dict.fromkeys(frame[across]))
    rows = []
    for place, some in frame.groupby(list(down), sort=False):
        label = ", ".join(text.format(value) for text, value in zip(down.values(), place, strict=True))
        rows.append([label, *(_cell(some[some[across] == column]) for column in columns)])
    verdict = ["yes" if _nominal(frame[frame[across] == column]) else "no" for column in columns]
    return markdown.table(["page", *columns], [*rows, ["**nominal in all**", *verdict]])


def _nominal(some: pd.DataFrame) -> bool:
    return bool(some[["nominal", "odd_nominal"]].all(axis=None))


def _cell(some: pd.DataFrame) -> str:
    lowest = f"{100 * some['coverage'].min():.1f}, {100 * some['odd_coverage'].min():.1f}"
    return f"{lowest if _nominal(some) else f'*{lowest}*'} ({math.exp(some['length'].median()):.2f})"
