"""Agreement of equal cards of several machines, and of several versions of a framework on one machine."""

from itertools import combinations
from typing import Any

import pandas as pd
from packaging.version import InvalidVersion, Version

from framebench.analyse import machines
from framebench.analyse.statistics import holm, ratio_of_independent
from framebench.analyse.tables import Table
from framebench.record import CELL, CELL_DTYPES

# Fields that two cells share apart from the device; for a CPU the cores too, as different models go by one name.
SHARED = ["device_name", "cores", *(key for key in CELL if key != "device")]
COLUMNS = {name: ({"cores": "Int64"} | CELL_DTYPES).get(name, "str") for name in SHARED} | {
    "machine": "str",
    "reference": "str",
    "version": "str",
    "reference_version": "str",
    "since": "str",
    "images_per_s": "float64",
    "reference_images_per_s": "float64",
    "ratio": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "confidence": "float64",
    "runs": "Int64",
    "reference_runs": "Int64",
    "p": "float64",
    "p_adjusted": "float64",
    "verdict": "str",
}
APART, SLOWER, FASTER = "apart", "slower since", "faster since"
TOGETHER, TOO_FEW = "no difference shown", "too few runs"
# Fields that distinguish two versions of one framework, the most telling first: Keras's own version, then its
# backend's.
SOFTWARE = ["framework_version", "backend", "lock_digest"]
DIGITS_OF_LOCK = 12


def agreement(measurements: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row of COLUMNS per cell and pair of equal cards of two machines that have runs of it that are ok.

    `images_per_s` is the median over the runs of `machine`, `reference_images_per_s` that over the runs of the other.
    `ratio` is that of their geometric means. Two machines share no rounds, so its interval at level `confidence` is
    that of independent runs (see `ratio_of_independent`); p is adjusted for the number of rows by Holm's method, and
    where it is then below 1 - confidence, the verdict is APART.

    The verdict is SLOWER or FASTER where, as far as the records show, both machines are one (see `machines.told`) with
    two versions of the framework, of its backend or of the lock: then the newer is `machine`, and `since` names it.
    `version` and `reference_version` list all versions that ran.
    """
    ok = measurements[measurements["status"] == "ok"]
    ok = ok.assign(
        machine=ok["device"].map(machines.machine), cores=ok["cpu_cores"].where(ok["device_uuid"].isna()).fillna(0)
    )
    rows: list[dict[str, Any]] = []
    for cell, runs in ok.groupby(SHARED):
        for (_, some), (_, others) in combinations(runs.groupby("device"), 2):
            if some["machine"].iloc[0] != others["machine"].iloc[0]:
                rows.append(dict(zip(SHARED, cell, strict=True)) | _pair(some, others, confidence))
    adjusted = iter(holm([row["p"] for row in rows if row["p"] is not None]))
    for row in rows:
        row["p_adjusted"] = None if row["p"] is None else next(adjusted)
        row["verdict"] = _verdict(row, 1 - confidence)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    frame["cores"] = frame["cores"].where(frame["cores"] > 0)
    return frame


def _pair(some: pd.DataFrame, others: pd.DataFrame, confidence: float) -> dict[str, Any]:
    """One row comparing two machines, without the columns that need all rows (adjusted p, verdict)."""
    versions = _versions(some, others)
    if versions and _older(some, others):
        some, others = others, some
    found, p = ratio_of_independent(some["images_per_s"].tolist(), others["images_per_s"].tolist(), confidence)
    return {
        "machine": some["machine"].iloc[0],
        "reference": others["machine"].iloc[0],
        "version": _told(some),
        "reference_version": _told(others),
        "since": _since(some, others) if versions else None,
        "images_per_s": some["images_per_s"].median(),
        "reference_images_per_s": others["images_per_s"].median(),
        "ratio": found.mean,
        "ci_low": found.low,
        "ci_high": found.high,
        "confidence": confidence,
        "runs": len(some),
        "reference_runs": len(others),
        "p": p,
    }


def _verdict(row: dict[str, Any], level: float) -> str:
    if row["p_adjusted"] is None:
        return TOO_FEW
    if row["p_adjusted"] >= level:
        return TOGETHER
    if row["since"] is None:
        return APART
    return SLOWER if row["ratio"] < 1 else FASTER


def _software(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[SOFTWARE].astype(object).where(runs[SOFTWARE].notna(), None).drop_duplicates()


def _versions(some: pd.DataFrame, others: pd.DataFrame) -> bool:
    """True where all these runs are of one machine, with one version on each side and different ones between them."""
    every = [_software(runs) for runs in (some, others)]
    if any(len(software) > 1 for software in every) or every[0].iloc[0].equals(every[1].iloc[0]):
        return False
    hardware = [machines.told(runs.to_dict("records")) for runs in (some, others)]
    return hardware[0] == hardware[1]


def _older(some: pd.DataFrame, others: pd.DataFrame) -> bool:
    """True where `some` have the older version; versions without an order go by the time of measuring."""
    for column in ("framework_version", "backend"):
        # A backend's version begins with its name.
        told = [str(runs[column].iloc[0]).split()[-1] for runs in (some, others)]
        try:
            first, second = map(Version, told)
        except InvalidVersion:
            continue
        if first != second:
            return first < second
    return bool(some["started_unix_s"].min() < others["started_unix_s"].min())


def _since(newer: pd.DataFrame, older: pd.DataFrame) -> str:
    """The new versions of the newer runs."""
    new, old = ((*_software(runs).iloc[0],) for runs in (newer, older))
    column, told = next((name, str(one)) for name, one, other in zip(SOFTWARE, new, old, strict=True) if one != other)
    return f"lock {told[:DIGITS_OF_LOCK]}" if column == "lock_digest" else told


def _told(runs: pd.DataFrame) -> str:
    """Every version that ran, with its backend and its lock."""
    software = _software(runs)
    software["lock_digest"] = [
        f"lock {digest[:DIGITS_OF_LOCK]}" if digest else None for digest in software["lock_digest"]
    ]
    return "; ".join(", ".join(filter(None, row)) for row in software.itertuples(index=False))


TABLE = Table("agreement", agreement, keys=[key for key in CELL if key != "device"], only_merged=True)
