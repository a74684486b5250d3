"""Limits of each device, and how near each cell comes to them.

Two limits: the peak that the maker of a GPU states for a precision, and the ceiling, what the largest matrix products
of the same runs reached, in whatever framework they were fastest. A CPU, or a GPU that gpu-peaks.csv does not have, is
held against its ceiling. Ceilings are of the rounds that have the diagnosis, the arithmetic that was achieved of all.
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

    `achieved_gflops` is the median over the runs that are ok, and `share_of_peak` that by `peak_gflops`, which is the
    maker's where `gpu_peaks` has the model and the precision, else the ceiling, as `peak_source` says. A ceiling is of
    a device and a precision: the highest, over the frameworks, of the median over their runs; of copies it is that of
    any precision. What no run tells is null.
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
    """Framework → median, of those that tell it."""
    return runs.groupby("framework")[column].median().dropna()


TABLE = Table("limits", limits, keys=CELL)
