"""Scatter of the runs of each cell, and other load on the machine."""

from collections.abc import Mapping
from math import log

import pandas as pd

from framebench.analyse.comparisons import half_width
from framebench.analyse.tables import Table
from framebench.record import BLOCK, BUSY, CELL, CELL_DTYPES

# Fields on the machine; a cell gets the median over its runs.
MACHINE = ["load_at_start", "others_cpu_cores", "steal_share", "cpu_mhz"]
COLUMNS = CELL_DTYPES | {
    "runs": "Int64",
    "within_cv": "float64",
    "between_cv": "float64",
    "block_autocorrelation": "float64",
    "busy_runs": "Int64",
    "not_converged_runs": "Int64",
    **dict.fromkeys(MACHINE, "float64"),
    "half_width": "float64",
    "half_width_asked": "float64",
    "reached": "boolean",
}


def noise(records: list[dict], comparisons: pd.DataFrame, asked: Mapping[tuple, float] | None = None) -> pd.DataFrame:
    """One row of COLUMNS per cell, over its runs that are ok; null where there are too few.

    `within_cv` is the standard deviation of the speeds of a run's blocks divided by their mean, as the median over the
    runs; `between_cv` is the same for `images_per_s` over the runs, including any drift.

    `block_autocorrelation` of successive blocks is 1 - d / v, with v the variance of the log speeds within runs and d
    half the mean squared difference of successive ones, each pooled over the runs (von Neumann, "Distribution of the
    Ratio of the Mean Square Successive Difference to the Variance", Annals of Mathematical Statistics 12, 1941). It is
    0 on average for independent blocks, however few; a few blocks show only a part of a true autocorrelation.

    `half_width` is that of the widest interval in the cell's block, as a share of the ratio; `half_width_asked` is the
    target in `asked` for the block, null for one without a rule.
    """
    columns = ["ok", "images_per_s", "within_cv", "variance", "successive", "busy", "not_converged", *MACHINE]
    runs = pd.DataFrame([_run(record) for record in records], columns=CELL + columns)
    cells = runs.astype(dict.fromkeys(columns, float)).groupby(CELL)
    frame = pd.DataFrame(
        {
            "runs": cells["ok"].sum(),
            "within_cv": cells["within_cv"].median(),
            "between_cv": cells["images_per_s"].std() / cells["images_per_s"].mean(),
            "block_autocorrelation": 1 - cells["successive"].sum() / cells["variance"].sum(),
            "busy_runs": cells["busy"].sum(),
            "not_converged_runs": cells["not_converged"].sum(),
            **{name: cells[name].median() for name in MACHINE},
        }
    ).reset_index()
    widths = comparisons[BLOCK].assign(half_width=half_width(comparisons["ci_low"], comparisons["ci_high"]))
    frame = frame.merge(widths.groupby(BLOCK, as_index=False).max(), how="left", on=BLOCK)
    rules = pd.DataFrame(
        [(*block, width) for block, width in (asked or {}).items()], columns=[*BLOCK, "half_width_asked"]
    )
    frame = frame.merge(rules.astype({"batch_size": "int64"}), how="left", on=BLOCK)
    asked_for = frame["half_width_asked"].astype("Float64")
    frame["reached"] = (frame["half_width"].astype("Float64") <= asked_for).fillna(False).mask(asked_for.isna())
    return frame[list(COLUMNS)].astype(COLUMNS)


def _run(record: dict) -> dict:
    """One run's part in the columns; only its cell where it is not ok."""
    cell = {name: record[name] for name in CELL}
    if record["status"] != "ok":
        return cell | {"ok": 0}
    speeds = pd.Series([block["steps"] / (block["t1_ns"] - block["t0_ns"]) for block in record["blocks"]])
    logs = speeds.map(log)
    return cell | {
        "ok": 1,
        "images_per_s": record["images_per_s"],
        "within_cv": speeds.std() / speeds.mean(),
        "variance": logs.var(),
        "successive": logs.diff().pow(2).mean() / 2,
        "busy": BUSY in record["flags"],
        "not_converged": "warmup_not_converged" in record["flags"],
        **{name: record.get(name) for name in MACHINE},
    }


def _of_campaign(records: list[dict], comparisons: pd.DataFrame, rounds: list[dict]) -> pd.DataFrame:
    """Compute the scatter of the runs of each cell."""
    asked = {tuple(row[name] for name in BLOCK): row["ci_half_width"] for row in rounds}
    return noise(records, comparisons, asked)


TABLE = Table("noise", _of_campaign, keys=CELL)
