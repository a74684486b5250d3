"""Number of images after which the tuned settings have paid for their longer start."""

from collections.abc import Sequence

import pandas as pd

from framebench.analyse.comparisons import NOT_COMPARABLE, across, rounds_apart, why_not_paired
from framebench.analyse.statistics import RATIO_METHOD, mean_interval, ratio_of_means
from framebench.analyse.tables import Table
from framebench.record import CELL, CELL_DTYPES

SHARED = [key for key in CELL if key != "track"]
COLUMNS = {name: CELL_DTYPES[name] for name in SHARED} | {
    "default_delay_s": "float64",
    "tuned_delay_s": "float64",
    "extra_s": "float64",
    "extra_s_low": "float64",
    "extra_s_high": "float64",
    "saved_s_per_image": "float64",
    "saved_s_per_image_low": "float64",
    "saved_s_per_image_high": "float64",
    "images": "float64",
    "images_low": "float64",
    "images_high": "float64",
    "confidence": "float64",
    "rounds": "Int64",
    "method": "str",
    "verdict": "str",
}
AT_ONCE, AFTER, NEVER, NO_GAIN = "at once", "after images", "never", "no gain shown"


def delay_s(runs: pd.DataFrame) -> pd.Series:
    """Seconds that each run lost before its steady speed, as measured at the end of its warm-up.

    The time of the first call and of the warm-up, less the time of as many steps at the steady speed:
    time_to_first_step_s + warmup_s - (steps_per_call + warmup_steps) · step_ms / 1000. Training n images then takes
    this and n · step_ms / 1000 / batch_size, if n is at least the number of images of the warm-up.
    """
    steps = runs["steps_per_call"] + runs["warmup_steps"]
    return (runs["time_to_first_step_s"] + runs["warmup_s"] - steps * runs["step_ms"] / 1e3).astype(float)


def payback(measurements: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row of COLUMNS per framework measured with both tracks in otherwise equal blocks.

    `extra_s` is the extra delay of `tuned` over `default`, `saved_s_per_image` the time saved per image at the steady
    speed; both are means over the rounds in which both sides have a run that is ok, with their t intervals at level
    `confidence`. `images` is their quotient, at least 0, with Fieller's interval.

    `verdict`: `at once` where tuned settings cost nothing more before the steady speed, `after images`, `never` where
    the interval of the saved time lies below 0, `no gain shown` where it includes 0; the last two have no `images`. Or
    why the sides are not comparable. The search for the settings is not counted: it is made once.
    """
    rows = []
    for cell, runs in measurements.groupby(SHARED):
        tuned, default = (runs[runs["track"] == track] for track in ("tuned", "default"))
        if tuned.empty or default.empty:
            continue
        columns = ["round", "delay_s", "step_s"]
        sides = [
            side[side["status"] == "ok"].assign(delay_s=delay_s, step_s=lambda ok: ok["step_ms"] / 1e3)[columns]
            for side in (default, tuned)
        ]
        rounds = sides[0].merge(sides[1], on="round", suffixes=("_default", "_tuned")).dropna().sort_values("round")
        batch_size = runs["batch_size"].iloc[0]
        row = dict(zip(SHARED, cell, strict=True)) | _row(
            (rounds["delay_s_tuned"] - rounds["delay_s_default"]).tolist(),
            ((rounds["step_s_default"] - rounds["step_s_tuned"]) / batch_size).tolist(),
            confidence,
            why_not_paired(tuned, default, len(rounds)),
        )
        row |= {f"{track}_delay_s": rounds[f"delay_s_{track}"].mean() for track in ("default", "tuned")}
        row["method"] = RATIO_METHOD + across(rounds_apart(tuned, default), len(rounds))
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS).sort_values(SHARED, ignore_index=True)


def _row(extra_s: Sequence[float], saved_s: Sequence[float], confidence: float, obstacle: str) -> dict:
    """Verdict and columns from the extra delay and the time saved per image of each round."""
    row: dict = {"confidence": confidence, "rounds": len(extra_s), "verdict": NOT_COMPARABLE + obstacle}
    if not len(extra_s):
        return row
    extra, saved = mean_interval(extra_s, confidence), mean_interval(saved_s, confidence)
    row |= extra.columns("extra_s") | saved.columns("saved_s_per_image")
    if not obstacle and saved.low is not None and saved.high is not None:
        if saved.low <= 0:
            return row | {"verdict": NEVER if saved.high < 0 else NO_GAIN}
        row["verdict"] = AFTER if extra.mean > 0 else AT_ONCE
    if saved.mean > 0:
        found = ratio_of_means(extra_s, saved_s, confidence).columns("images")
        row |= {name: value if value is None else max(0.0, value) for name, value in found.items()}
    return row


TABLE = Table("payback", payback, keys=["device", "workload", "precision", "batch_size"])
