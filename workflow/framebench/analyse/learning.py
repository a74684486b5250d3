"""Progress of two frameworks by the end of their runs: the one that has learned less has done other work."""

from math import inf, sqrt
from statistics import mean, stdev

import pandas as pd
from scipy.special import stdtr

# Chance separates two honest frameworks once in a thousand pairs, and only with so large a lag: the loss jumps from
# step to step, and two runs never end after the same step.
LEVEL, SHARE = 1e-3, 0.2
COLUMNS = ["round", "loss_first", "loss_last", "training_steps"]


def learned_less(side: pd.DataFrame, other: pd.DataFrame) -> str:
    """The reason why the runs of these two sides cannot have done the same work; empty where nothing shows that.

    It counts the rounds in which both runs are ok. One side must have taken as many training steps as the other or
    more, in each of them, and its loss must have fallen by less: in the mean by at least SHARE of the other's fall, and
    significantly at LEVEL (a one-sided t-test of the differences by round). Fewer than three rounds show nothing.
    """
    if not set(COLUMNS) <= set(side) & set(other):
        return ""
    ok = [runs.loc[runs["status"] == "ok", COLUMNS].dropna() for runs in (side, other)]
    rounds = ok[0].merge(ok[1], on="round", suffixes=("_side", "_other"))
    names = [runs["framework"].iloc[0] for runs in (side, other)]
    for (less, more), (slow, quick) in zip((names, names[::-1]), (("side", "other"), ("other", "side")), strict=True):
        fell = [(rounds[f"loss_first_{of}"] - rounds[f"loss_last_{of}"]).tolist() for of in (slow, quick)]
        as_many = (rounds[f"training_steps_{slow}"] >= rounds[f"training_steps_{quick}"]).all()
        if len(rounds) >= 3 and as_many and _lags(*fell):
            by = [f"{mean(one):.3g}" for one in fell]
            return f"the loss of {less} fell by {by[0]}, that of {more} by {by[1]} in no more steps"
    return ""


def _lags(some: list[float], others: list[float]) -> bool:
    """True where these numbers are significantly smaller than the others, pair by pair, and by a SHARE of them."""
    differences = [one - other for one, other in zip(some, others, strict=True)]
    gap, error = mean(differences), stdev(differences) / sqrt(len(differences))
    p = float(stdtr(len(differences) - 1, gap / error)) if error else (0.0 if gap < 0 else inf)
    return p < LEVEL and -gap > SHARE * abs(mean(others))
