"""Published speeds beside ours, on the same GPU model and problem."""

from math import log

import pandas as pd

from framebench.analyse import rosetta
from framebench.analyse.statistics import geometric_mean_interval
from framebench.analyse.tables import Table

COLUMNS = {
    "gpu": "str",
    "problem": "str",
    "framework": "str",
    "year": "Int64",
    "precision": "str",
    "published_batch_size": "Int64",
    "published_images_per_s": "float64",
    "device": "str",
    "track": "str",
    "input": "str",
    "batch_size": "Int64",
    "images_per_s": "float64",
    "ratio": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "confidence": "float64",
    "rounds": "Int64",
    "differs": "str",
    "source": "str",
}
NOT_MEASURED = "not measured here: "


def literature(measurements: pd.DataFrame, points: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row of COLUMNS per point and device of its GPU model; a point without a counterpart here has one row.

    `points` has the columns of published-speeds.csv. A point is compared with the `default` runs that are ok of its
    problem, framework and precision; with input `device` where it was measured; and at the batch size nearest to the
    published one by ratio, or at the largest where none is published. `images_per_s` is their geometric mean, `ratio`
    their ratio to the published speed, with its interval at level `confidence`. `differs` is why the ratio need not be
    1, or what is not measured here.
    """
    ok = measurements[(measurements["status"] == "ok") & (measurements["track"] == "default")]
    rows = []
    for point in points.to_dict("records"):
        row = {name: point[name] for name in ("gpu", "problem", "framework", "year", "precision", "differs", "source")}
        row |= {f"published_{name}": point[name] for name in ("batch_size", "images_per_s")}
        beside = ok[ok["device_name"].map(lambda name, gpu=point["gpu"]: is_model(gpu, name)).astype(bool)]
        missing = "no GPU of this model"
        for column, name in (("workload", "problem"), ("framework", "framework"), ("precision", "precision")):
            if len(beside):
                beside = beside[beside[column] == point[name]]
                missing = f"{name} {point[name]} on this GPU"
        if beside.empty:
            rows.append(row | {"differs": NOT_MEASURED + missing})
        rows += [row | _ours(runs, point, confidence) for _, runs in beside.groupby("device")]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def is_model(gpu: str, device_name: object) -> bool:
    """True where a device is of this model. `Tesla P100` matches `Tesla P100-PCIE-16GB`: that source has no more."""
    return device_name == gpu or str(device_name).startswith(f"{gpu}-")


def _ours(runs: pd.DataFrame, point: dict, confidence: float) -> dict:
    """Our result on one device, for one input and batch size."""
    runs = runs[runs["input"] == runs["input"].min()]  # `device` sorts before `host`
    size = runs["batch_size"].max()  # for a published speed without a batch size, as for a batch that fills the GPU
    if pd.notna(point["batch_size"]):
        size = min(runs["batch_size"].unique(), key=lambda one: (abs(log(one / point["batch_size"])), one))
    runs = runs[runs["batch_size"] == size]
    found = geometric_mean_interval(runs["images_per_s"].tolist(), confidence)
    published = point["images_per_s"]
    return {
        **runs.iloc[0][["device", "track", "input", "batch_size"]].to_dict(),
        "images_per_s": found.mean,
        "ratio": found.mean / published,
        "ci_low": None if found.low is None else found.low / published,
        "ci_high": None if found.high is None else found.high / published,
        "confidence": confidence,
        "rounds": found.n,
    }


def _of_campaign(
    measurements: pd.DataFrame, published_speeds: pd.DataFrame, rosetta_2018: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """Compare our speeds with published ones on the same GPU models and problems."""
    points = pd.concat([rosetta.points(rosetta_2018), published_speeds], ignore_index=True)
    return literature(measurements, points, confidence)


TABLE = Table("literature", _of_campaign)
