"""Drift: how far the clock, or the order of the runs, explains their speeds.

Comparisons pair runs of a round, so that a drift shared by both cancels; this table shows whether there was one.
"""

import numpy as np
import pandas as pd

from framebench.analyse.tables import Table
from framebench.record import CELL

PERMUTATIONS = 1999  # p-values in steps of 1/2000
SEED = 1
COLUMNS = {
    "device": "str",
    "runs": "Int64",
    "hours": "float64",
    "drift_per_hour": "float64",
    "drift_p": "float64",
    "order_p": "float64",
}


def order(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row of COLUMNS per device, from its runs that are ok.

    The residual of a run is the logarithm of its speed minus the mean of its cell.

    `drift_per_hour` is the relative change of speed per hour: the least-squares slope of the residuals over the
    starting times of the runs, less each cell's mean time. `drift_p` is its two-sided p-value when the rounds of a cell
    are exchangeable: the share of orders, with the residuals of each cell permuted among its rounds, whose slope is at
    least as steep. A machine that is slow for a while shows here too.

    `order_p` is the p-value of the slope over the place inside a round, from 0 for its first run to 1 for its last. The
    places were drawn at random, so permuting them inside each round gives equally likely draws, whatever the noise;
    with `order: blocks` this holds for the places inside a block, and between blocks if their noise is alike.

    Both are null where no cell has two runs. `hours` is the time from the start of the first run to that of the last.
    """
    rows = [
        (device, len(runs), np.ptp(runs["started_unix_s"]) / 3600, *_tests(runs))
        for device, runs in measurements[measurements["status"] == "ok"].groupby("device")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _tests(runs: pd.DataFrame) -> tuple[float, float, float]:
    """drift_per_hour, drift_p and order_p of one device's runs."""
    cell = runs.groupby(CELL).ngroup().to_numpy()
    round = runs["round"].to_numpy()
    residual = _centred(np.log(runs["images_per_s"].to_numpy()), cell)
    hours = _centred(runs["started_unix_s"].to_numpy() / 3600, cell)
    if not hours.any():
        return np.nan, np.nan, np.nan
    rank = runs.groupby("round")["order"].rank(method="first").to_numpy() - 1
    place = rank / np.maximum(1, runs.groupby("round")["order"].transform("size").to_numpy() - 1)
    slope = residual @ hours / (hours @ hours)
    return np.expm1(slope), permutation_p(residual, hours, cell), permutation_p(place, residual, round)


def _centred(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The values (n,) minus the mean of their group (n,)."""
    mean = np.bincount(group, values) / np.maximum(1, np.bincount(group))
    return values - mean[group]


def permutation_p(permuted: np.ndarray, fixed: np.ndarray, group: np.ndarray) -> float:
    """Two-sided p-value of the product of two series (n,), when one may be permuted inside each group (n,).

    The share of orders, among PERMUTATIONS and the observed order, whose product is at least as far from the mean over
    all orders (Phipson and Smyth, "Permutation P-values Should Never Be Zero", Statistical Applications in Genetics and
    Molecular Biology 9, 2010).
    """
    permuted = _centred(permuted, group)  # their mean over all orders, and so that of the product, is 0
    generator = np.random.default_rng(SEED)
    sorted_by_group = np.argsort(group, kind="stable")
    permuted, fixed, group = permuted[sorted_by_group], fixed[sorted_by_group], group[sorted_by_group]
    products = [permuted[np.lexsort((generator.random(len(group)), group))] @ fixed for _ in range(PERMUTATIONS)]
    # Equal orders differ in the last digits of their sums.
    seen = abs(permuted @ fixed) * (1 - 1e-9)
    return (1 + np.count_nonzero(np.abs(products) >= seen)) / (1 + PERMUTATIONS)


TABLE = Table("order", order, keys=["device"])
