"""Overhead of Keras in a step over its backend, and whether it grows with the batch size."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from framebench.analyse.statistics import holm, mean_interval, mean_p_value
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
    "fixed_p_adjusted": "float64",
    "growth_p_adjusted": "float64",
    "fit_rounds": "Int64",
    "confidence": "float64",
    "finding": "str",
}
FIXED, GROWS, BOTH, UNTOLD = "fixed", "grows", "fixed and grows", "not told apart"
PARTS = {"fixed": FIXED, "growth": GROWS}


def overhead(measurements: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row of COLUMNS per block in which a Keras framework and its `native` backend have runs that are ok.

    `step_ms` and `native_step_ms` are means over the rounds of both; `extra_ms` is the mean of their differences, with
    its t interval at level `confidence`. `overlap` is the share of a synchronised step (its median) that is saved if
    the host may run ahead: 1 - step_ms / step_synced_p50_ms, the median over the rounds that report it.

    Over the batch sizes of blocks that are otherwise alike, extra_ms = fixed + growth · batch size, in each round that
    has them all: least squares, weighted by 1 / step² of the native framework, since steps scatter in proportion to
    their length. Both are means with t intervals at level `confidence` and p-values of a true mean of 0, adjusted
    (Holm) for the number of all such parts of the table. `finding` says which of the two are shown to differ from 0:
    `fixed`, a cost of the API; `grows`, one of the computation; both; or `not told apart`, for example with one batch
    size.
    """
    ok = measurements[measurements["status"] == "ok"].dropna(subset="step_ms")
    rows: list[dict] = []
    fits: list[dict] = []
    for panel, runs in ok.groupby(PANEL):
        frameworks = sorted(set(runs["framework"]))
        for framework in frameworks:
            native = catalogue.beneath(framework, frameworks)
            columns = ["batch_size", "round", "step_ms", "step_synced_p50_ms"]
            sides = [runs.loc[runs["framework"] == side, columns] for side in (framework, native)]
            pairs = sides[0].merge(sides[1], on=["batch_size", "round"], suffixes=("", "_native"))
            names = dict(zip(PANEL, panel, strict=True)) | {"framework": framework, "native": native}
            fits.append(_fit(pairs, confidence) if len(pairs) else {})
            for batch_size, of_block in pairs.groupby("batch_size"):
                block = names | {"batch_size": batch_size} | _block(of_block, confidence)
                rows.append(block | {"fit": len(fits) - 1})
    find(fits, PARTS, confidence)
    rows = [row | fits[row.pop("fit")] for row in rows]
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
    """The fixed part of the difference, the part that grows with the batch size, and what is shown of each."""
    extra_ms = (pairs.set_index(["round", "batch_size"])["step_ms"]).sub(
        pairs.set_index(["round", "batch_size"])["step_ms_native"]
    )
    by_size = extra_ms.unstack("batch_size").dropna()  # (rounds, batch sizes)
    row: dict = {"fit_rounds": len(by_size)}
    if by_size.shape[1] < 2 or by_size.empty:
        return row
    scale_ms = pairs.groupby("batch_size")["step_ms_native"].median().to_numpy(float)
    sizes = by_size.columns.to_numpy(float)
    terms = np.column_stack([np.ones_like(sizes), sizes]) / scale_ms[:, None]
    fixed, growth = np.linalg.pinv(terms) @ (by_size.to_numpy(float) / scale_ms).T
    for name, values in (("fixed_ms", fixed), ("growth_us_per_sample", 1e3 * growth)):
        row |= mean_interval(values.tolist(), confidence).columns(name)
    return row | {"fixed_p": mean_p_value(fixed.tolist()), "growth_p": mean_p_value(growth.tolist())}


def find(rows: Sequence[dict], parts: Mapping[str, str], confidence: float) -> None:
    """Set `finding` of each row to the parts that differ from 0: one, both joined by "and", or UNTOLD.

    `parts`: part → its name in `finding`. Where a row has the p-value of a part as `<part>_p`, it is replaced by
    `<part>_p_adjusted`, adjusted (Holm) for all parts of all rows.
    """
    tested = [(row, part, p) for row in rows for part in parts if (p := row.pop(f"{part}_p", None)) is not None]
    for (row, part, _), p_adjusted in zip(tested, holm([p for _, _, p in tested]), strict=True):
        row[f"{part}_p_adjusted"] = p_adjusted
    for row in rows:
        shown = [name for part, name in parts.items() if row.get(f"{part}_p_adjusted", 1) < 1 - confidence]
        row["finding"] = " and ".join(shown) or UNTOLD


TABLE = Table("overhead", overhead, keys=BLOCK)
