"""Differences between two frameworks' steps: in the device's computing, or in its waiting for the host."""

from itertools import combinations

import pandas as pd

from framebench.analyse.overhead import find
from framebench.analyse.statistics import mean_interval, mean_p_value
from framebench.analyse.tables import Table
from framebench.record import BLOCK, CELL, CELL_DTYPES

DEVICE, HOST, BOTH = "device", "host", "device and host"
PARTS = {"device_ms": DEVICE, "host_ms": HOST}
COLUMNS = (
    CELL_DTYPES
    | {"reference": "str"}
    | {f"{of}{what}": "float64" for what in ("step_ms", *PARTS) for of in ("", "reference_")}
    | {f"longer_{what}{end}": "float64" for what in ("ms", *PARTS) for end in ("", "_low", "_high")}
    | {f"{part}_p_adjusted": "float64" for part in PARTS}
    | {"rounds": "Int64", "confidence": "float64", "finding": "str"}
)


def split(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with both PARTS of their `step_ms`: the device computes, and the device waits for the host.

    On a GPU, computing takes as long under the profiler as without it, while the host is slowed: the computing part is
    `device_busy_ms`, and waiting is the rest of the step. On a CPU both are slowed, and computing times change with the
    state of the process's memory: the waiting part is that of the profiled steps, `profiled_step_ms` -
    `device_busy_ms`, and computing is the rest. No part is longer than the step; null if the profiler reported nothing.
    """
    step_ms, on_gpu = runs["step_ms"], runs["device_uuid"].notna()
    waited_ms = (runs["profiled_step_ms"] - runs["device_busy_ms"]).where(~on_gpu, step_ms - runs["device_busy_ms"])
    host_ms = waited_ms.clip(lower=0).clip(upper=step_ms)
    return runs.assign(device_ms=step_ms - host_ms, host_ms=host_ms)


def why(measurements: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row of COLUMNS per block and pair of frameworks, the one with the longer steps first.

    The columns are means over the rounds in which both have profiled runs that are ok, and means of the differences in
    a round, with t intervals at level `confidence`. `finding` says which of the PARTS differs, by p-values adjusted
    (Holm) for all parts of all pairs of the table: the `device`, as with other kernels; the `host`, as with more
    Python; both, also if one gains and the other loses; or `not told apart`, for example with too few rounds for a
    p-value: only the first `protocol.diagnosed_rounds` are profiled.
    """
    ok = split(measurements[measurements["status"] == "ok"]).dropna(subset="device_ms")
    rows: list[dict] = []
    for block, runs in ok.groupby(BLOCK):
        steps = {framework: of.set_index("round")[["step_ms", *PARTS]] for framework, of in runs.groupby("framework")}
        for pair in combinations(steps, 2):
            shared = steps[pair[0]].index.intersection(steps[pair[1]].index)
            if len(shared):
                framework, reference = sorted(pair, key=lambda one: -steps[one].loc[shared, "step_ms"].mean())
                names = dict(zip(BLOCK, block, strict=True)) | {"framework": framework, "reference": reference}
                rows.append(names | _pair(steps[framework].loc[shared], steps[reference].loc[shared], confidence))
    find(rows, PARTS, confidence)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values([*CELL, "reference"], ignore_index=True)


def _pair(longer: pd.DataFrame, shorter: pd.DataFrame, confidence: float) -> dict:
    """The columns of a row apart from its names, from both frameworks' steps in the same rounds."""
    row: dict = longer.mean().to_dict() | shorter.mean().add_prefix("reference_").to_dict()
    differences = longer - shorter
    row |= mean_interval(differences["step_ms"].tolist(), confidence).columns("longer_ms")
    for part in PARTS:
        row |= mean_interval(differences[part].tolist(), confidence).columns(f"longer_{part}")
        row[f"{part}_p"] = mean_p_value(differences[part].tolist())
    return row | {"rounds": len(differences), "confidence": confidence}


TABLE = Table("why", why, keys=BLOCK)
