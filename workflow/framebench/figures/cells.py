"""Which measured cells a figure or a sentence speaks about, and what became of each."""

from collections.abc import Mapping
from math import log

import pandas as pd

NOT_COMPARABLE = "not comparable: "


def article_form(measurements: pd.DataFrame, article_batch_sizes: Mapping[str, int]) -> pd.DataFrame:
    """The measurements that the article-form chart and the verdict are about.

    Track `default` and precision `float32`; per device and workload one input (`device` where it was
    measured, else `host`) and one batch size: the workload's own in `article_batch_sizes` where it was
    measured, else the nearest by ratio, of two equally near the smaller.
    """
    usual = measurements[(measurements["track"] == "default") & (measurements["precision"] == "float32")]
    chosen = [usual.iloc[:0]]
    for (_, workload), rows in usual.groupby(["device", "workload"]):
        of_input = rows[rows["input"] == min(rows["input"])]  # `device` sorts before `host`
        wanted = article_batch_sizes[str(workload)]
        nearest = min(of_input["batch_size"].unique(), key=lambda size: (abs(log(size / wanted)), size))
        chosen.append(of_input[of_input["batch_size"] == nearest])
    return pd.concat(chosen)


def state(runs: pd.DataFrame) -> str:
    """What became of a cell: `ok` where any of its runs counts, else the commonest status of its runs.

    `not_measured` where it has no runs.
    """
    if runs.empty:
        return "not_measured"
    if (runs["status"] == "ok").any():
        return "ok"
    return str(runs["status"].mode()[0])


def obstacle(verdict: str) -> str:
    """Why a verdict of comparisons.csv reads `not comparable`; empty where it reads otherwise."""
    return verdict.removeprefix(NOT_COMPARABLE) if verdict.startswith(NOT_COMPARABLE) else ""


def device_name(measurements: pd.DataFrame, device: str) -> str:
    """The model that the records name for `device`, else the name that config.yaml gives it."""
    names = measurements.loc[measurements["device"] == device, "device_name"].dropna().unique()
    return ", ".join(names) or device
