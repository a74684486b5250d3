"""Overhead of Keras in a step over the framework that computes under it, and whether it grows with the batch."""

import numpy as np
import pandas as pd

from framebench.analyse.statistics import Estimate, mean_interval
from framebench.analyse.tables import Table
from framebench.plan import catalogue
from framebench.record import BLOCK, CELL, CELL_DTYPES

PANEL = [key for key in BLOCK if key != "batch_size"]
COLUMNS = CELL_DTYPES | {
    "native": "str",
    "step_ms": "float64",
    "native_step_ms": "float64",
    "overlap": "float64",
    "native_overlap": "float64",
    "extra_ms": "float64",
    "extra_ms_low": "float64",
    "extra_ms_high": "float64",
    "rounds": "Int64",
    "fixed_ms": "float64",
    "fixed_ms_low": "float64",
    "fixed_ms_high": "float64",
    "growth_us_per_sample": "float64",
    "growth_us_per_sample_low": "float64",
    "growth_us_per_sample_high": "float64",
    "fit_rounds": "Int64",
    "confidence": "float64",
    "finding": "str",
}
FIXED, GROWS, BOTH, UNTOLD = "fixed", "grows", "fixed and grows", "not told apart"


def overhead(measurements: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row of COLUMNS per block in which a Keras framework and the `native` one beneath it have runs that are ok.

    `step_ms` and `native_step_ms` are means over the rounds of both; `extra_ms` is the mean of their differences, with
    its t interval at level `confidence`. `overlap`: share of a step with a synchronisation after it (its median) that
    is saved where the host may go on meanwhile, 1 - step_ms / step_synced_p50_ms, the median over those of the rounds
    that tell it.

    Over the batch sizes of blocks that are otherwise alike, extra_ms = fixed + growth · batch size, in each round that
    has them all: least squares, weighted by 1 / step² of the native framework, since steps scatter in proportion to
    their length. Both are means with t intervals that hold together at level `confidence` (Bonferroni), so that it is
    rare enough to see a cost where there is none. `finding` says which of the two differ from 0 by their intervals:
    `fixed`, a cost of the API; `grows`, one of the computation; both; or `not told apart`, as with one batch size.
    """
    ok = measurements[measurements["status"] == "ok"].dropna(subset="step_ms")
    rows: list[dict] = []
    for panel, runs in ok.groupby(PANEL):
        frameworks = sorted(set(runs["framework"]))
        for framework in frameworks:
            native = catalogue.beneath(framework, frameworks)
            columns = ["batch_size", "round", "step_ms", "step_synced_p50_ms"]
            sides = [runs.loc[runs["framework"] == side, columns] for side in (framework, native)]
            pairs = sides[0].merge(sides[1], on=["batch_size", "round"], suffixes=("", "_native"))
            names = dict(zip(PANEL, panel, strict=True)) | {"framework": framework, "native": native}
            fitted = _fit(pairs, confidence) if len(pairs) else {}
            for batch_size, of_block in pairs.groupby("batch_size"):
                rows.append(names | {"batch_size": batch_size} | _block(of_block, confidence) | fitted)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(CELL, ignore_index=True)


def _block(pairs: pd.DataFrame, confidence: float) -> dict:
    extra = mean_interval((pairs["step_ms"] - pairs["step_ms_native"]).tolist(), confidence)
    return extra.columns("extra_ms") | {
        "step_ms": pairs["step_ms"].mean(),
        "native_step_ms": pairs["step_ms_native"].mean(),
        "overlap": (1 - pairs["step_ms"] / pairs["step_synced_p50_ms"]).median(),
        "native_overlap": (1 - pairs["step_ms_native"] / pairs["step_synced_p50_ms_native"]).median(),
        "rounds": len(pairs),
        "confidence": confidence,
    }


def _fit(pairs: pd.DataFrame, confidence: float) -> dict:
    """The part of the difference that every batch size has, that which grows with it, and what is shown of them."""
    extra_ms = (pairs.set_index(["round", "batch_size"])["step_ms"]).sub(
        pairs.set_index(["round", "batch_size"])["step_ms_native"]
    )
    by_size = extra_ms.unstack("batch_size").dropna()  # (rounds, batch sizes)
    row: dict = {"fit_rounds": len(by_size), "finding": UNTOLD}
    if by_size.shape[1] < 2 or by_size.empty:
        return row
    scale_ms = pairs.groupby("batch_size")["step_ms_native"].median().to_numpy(float)
    sizes = by_size.columns.to_numpy(float)
    terms = np.column_stack([np.ones_like(sizes), sizes]) / scale_ms[:, None]
    fixed, growth = np.linalg.pinv(terms) @ (by_size.to_numpy(float) / scale_ms).T
    of_fixed, of_growth = (mean_interval(part.tolist(), (1 + confidence) / 2) for part in (fixed, 1e3 * growth))
    shown = {FIXED: differs(of_fixed), GROWS: differs(of_growth)}
    row["finding"] = BOTH if all(shown.values()) else next((name for name, one in shown.items() if one), UNTOLD)
    return row | of_fixed.columns("fixed_ms") | of_growth.columns("growth_us_per_sample")


def differs(estimate: Estimate) -> bool:
    """Whether the interval shows that the mean is not 0."""
    return estimate.low is not None and estimate.high is not None and not estimate.low <= 0 <= estimate.high


TABLE = Table("overhead", overhead, keys=BLOCK)
