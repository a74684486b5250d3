"""Gaps of a campaign: everything that could have been measured and was not."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import pandas as pd

from framebench.frameworks import self_comparison
from framebench.plan import catalogue
from framebench.plan.knobs import Input


@dataclass(frozen=True)
class Gap:
    """Values of a key that were not measured, by the campaign or for one workload."""

    key: str
    values: list[str]
    workload: str | None = None


def gaps(measurements: pd.DataFrame) -> list[Gap]:
    """Values known to the catalogue and to the configuration's schema, but without any run.

    Precisions count only if a framework of the campaign trains in them on the kind of device measured.
    """
    kinds = {"cpu" if one else "cuda" for one in measurements["device_uuid"].isna()}
    frameworks = {self_comparison.base(framework) for framework in measurements["framework"]}
    trainable = {
        precision
        for framework in frameworks
        for kind in kinds
        for precision in catalogue.adapter(framework).precisions.get(kind, ())
    }
    found = [
        *_gap("framework", catalogue.frameworks(), frameworks),
        *_gap("workload", catalogue.workloads(), measurements["workload"]),
        *_gap("device", ["cpu", "gpu"], ["cpu" if kind == "cpu" else "gpu" for kind in kinds]),
    ]
    tracks = sorted({track for framework in frameworks for track in catalogue.adapter(framework).tracks})
    possible = {"track": tracks, "precision": sorted(trainable), "input": get_args(Input)}
    for workload, runs in measurements.groupby("workload"):
        for key, values in possible.items():
            found += _gap(key, values, runs[key], str(workload))
    return found


def _gap(key: str, possible: Iterable[str], measured: Iterable[str], workload: str | None = None) -> list[Gap]:
    measured = set(measured)
    values = [value for value in possible if value not in measured]
    return [Gap(key, values, workload)] if values else []
