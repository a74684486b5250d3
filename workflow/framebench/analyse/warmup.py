"""Warm-up of each run, until its steps were steady."""

import pandas as pd

from framebench.analyse.tables import Table
from framebench.record import CELL, CELL_DTYPES, RUN

COLUMNS = CELL_DTYPES | {
    "round": "Int64",
    "interval": "Int64",
    "t_s": "float64",
    "steps": "Int64",
    "step_ms": "float64",
}


def warmup(records: list[dict]) -> pd.DataFrame:
    """One row of COLUMNS per run that is ok and interval of its warm-up, in the order of RUN and of time.

    `interval` 0 is the first call of the training loop, with its tracing and compiling. `t_s` is the end of the
    interval, counted from the start of training; `step_ms` the mean over its `steps`.
    """
    rows = [
        {name: record[name] for name in RUN}
        | {
            "interval": place,
            "t_s": (interval["t1_ns"] - record["warmup_intervals"][0]["t0_ns"]) / 1e9,
            "steps": interval["steps"],
            "step_ms": (interval["t1_ns"] - interval["t0_ns"]) / 1e6 / interval["steps"],
        }
        for record in records
        if record["status"] == "ok"
        for place, interval in enumerate(record.get("warmup_intervals", []))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS).sort_values([*RUN, "interval"], ignore_index=True)


TABLE = Table("warmup", warmup, keys=CELL)
