"""Limits of each device, and the share of them that each cell reaches.

There are two limits: the GPU maker's stated peak for a precision, and the ceiling, which is the best rate of large
matrix products in the same runs, over all frameworks. A CPU, or a GPU missing from gpu-peaks.csv, is compared with its
ceiling. Ceilings come from the rounds with a diagnosis, achieved arithmetic from all rounds.
"""

import pandas as pd

from framebench.analyse.tables import Table
from framebench.record import CELL, CELL_DTYPES

COLUMNS = CELL_DTYPES | {
    "runs": "Int64",
    "achieved_gflops": "float64",
    "peak_gflops": "float64",
    "peak_gb_per_s": "float64",
    "peak_source": "str",
    "share_of_peak": "float64",
    "ceiling_gflops": "float64",
    "ceiling_gb_per_s": "float64",
    "ceiling_framework": "str",
}
CEILING = "measured ceiling"


def limits(measurements: pd.DataFrame, gpu_peaks: pd.DataFrame) -> pd.DataFrame:
    """One row of COLUMNS per cell, from a table of measurements and the rows of gpu-peaks.csv.

    `achieved_gflops` is the median over the runs that are ok, and `share_of_peak` its share of `peak_gflops`, which is
    the maker's where `gpu_peaks` has the model and the precision, else the ceiling; `peak_source` says which. A ceiling
    belongs to a device and a precision: the highest, over the frameworks, of the median over their runs; for copies
    over all precisions. Missing values are null.
    """
    runs = measurements[measurements["status"] == "ok"]
    rows = []
    for cell, of_cell in measurements.groupby(CELL):
        row = dict(zip(CELL, cell, strict=True))
        on_device = runs[runs["device"] == row["device"]]
        products = _medians(on_device[on_device["precision"] == row["precision"]], "ceiling_gflops")
        copies = _medians(on_device, "ceiling_copy_gb_per_s")
        if len(products):
            row |= {"ceiling_gflops": products.max(), "ceiling_framework": products.idxmax()}
        if len(copies):
            row["ceiling_gb_per_s"] = copies.max()
        named = gpu_peaks["gpu"].isin(of_cell["device_name"].dropna().unique())
        stated = gpu_peaks[named & (gpu_peaks["precision"] == row["precision"])]
        if len(stated) == 1:
            row |= {f"peak_{name}": stated.iloc[0][name] for name in ("gflops", "gb_per_s", "source")}
        elif len(products):
            row |= {"peak_gflops": row["ceiling_gflops"], "peak_source": CEILING}
        ok = of_cell[of_cell["status"] == "ok"]
        row |= {"runs": len(ok), "achieved_gflops": ok["achieved_gflops"].median()}
        rows.append(row)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    frame["share_of_peak"] = frame["achieved_gflops"] / frame["peak_gflops"]
    return frame.sort_values(CELL, ignore_index=True)


def _medians(runs: pd.DataFrame, column: str) -> pd.Series:
    """Framework → median, for those with a value."""
    return runs.groupby("framework")[column].median().dropna()


TABLE = Table("limits", limits, keys=CELL)
