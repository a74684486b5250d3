"""Selection of the measured cells for a figure or a sentence, and their status."""

from collections.abc import Mapping
from math import log

import pandas as pd

from framebench.analyse import machines
from framebench.analyse.comparisons import NOT_COMPARABLE
from framebench.record import BLOCK

# Fields with a panel of their own: inside one panel, only framework and batch size differ.
PANEL = ["device", "workload", "input", "track", "precision"]


def article_form(measurements: pd.DataFrame, track: str, article_batch_sizes: Mapping[str, int]) -> pd.DataFrame:
    """The measurements of one block per device and workload, for a chart in the article's form.

    They are of `track`, in float32, with input `device` where it was measured, else `host`, at the batch size of
    `at_article_size`.
    """
    rows = measurements[(measurements["track"] == track) & (measurements["precision"] == "float32")]
    first_input = rows.groupby(["device", "workload"])["input"].transform("min")  # `device` sorts before `host`
    return at_article_size(rows[rows["input"] == first_input], article_batch_sizes)


def both_tracks(measurements: pd.DataFrame, article_batch_sizes: Mapping[str, int]) -> pd.DataFrame:
    """The default track's `article_form`, and the tuned measurements that differ from it in their track alone."""
    by_default = article_form(measurements, "default", article_batch_sizes)
    alike = [key for key in BLOCK if key != "track"]
    tuned = measurements[measurements["track"] == "tuned"]
    return pd.concat([by_default, tuned.merge(by_default[alike].drop_duplicates())])


def at_article_size(measurements: pd.DataFrame, article_batch_sizes: Mapping[str, int]) -> pd.DataFrame:
    """The measurements of one batch size per PANEL, in the order of PANEL.

    It is the workload's own in `article_batch_sizes` where that was measured, else the nearest by ratio; of two equally
    near, the smaller.
    """
    chosen = [measurements.iloc[:0]]
    for (_, workload, *_), rows in measurements.groupby(PANEL):
        wanted = article_batch_sizes[str(workload)]
        nearest = min(rows["batch_size"].unique(), key=lambda size: (abs(log(size / wanted)), size))
        chosen.append(rows[rows["batch_size"] == nearest])
    return pd.concat(chosen)


def state(runs: pd.DataFrame) -> str:
    """Status of a cell: `ok` where any of its runs counts, else the commonest status of its runs.

    `not_measured` where it has no runs.
    """
    if runs.empty:
        return "not_measured"
    if (runs["status"] == "ok").any():
        return "ok"
    return str(runs["status"].mode()[0])


def obstacle(verdict: str) -> str:
    """The reason for the verdict `not comparable` in comparisons.csv; empty for any other verdict."""
    return verdict.removeprefix(NOT_COMPARABLE) if verdict.startswith(NOT_COMPARABLE) else ""


def device_name(measurements: pd.DataFrame, device: str) -> str:
    """The model that the records name for `device`, else the name in config.yaml; with its machine, if it has one."""
    names = measurements.loc[measurements["device"] == device, "device_name"].dropna().unique()
    machine = machines.machine(device)
    return (", ".join(names) or machines.alone(device)) + (f" ({machine})" if machine else "")
