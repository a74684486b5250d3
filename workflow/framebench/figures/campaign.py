"""Steadiness of the machine: the speed of every run over the clock of the campaign."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from framebench.analyse import selection
from framebench.figures import drawing, registry
from framebench.languages import Language, numbers
from framebench.record import CELL

FLAGGED: dict[str, Any] = {"marker": "x", "markersize": 6, "markeredgewidth": 1.5}


def residuals(measurements: pd.DataFrame) -> pd.DataFrame:
    """The runs that are ok, with `minutes` since the first start on their device, and `percent`.

    `percent` is the deviation of a run's images/s from the median over its cell.
    """
    runs = measurements[(measurements["status"] == "ok") & measurements["started_unix_s"].notna()]
    minutes = (runs["started_unix_s"] - runs.groupby("device")["started_unix_s"].transform("min")) / 60
    median = runs.groupby(CELL)["images_per_s"].transform("median")
    return runs.assign(minutes=minutes, percent=100 * (runs["images_per_s"] / median - 1))


def draw(measurements: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> drawing.Captioned:
    """One panel per device, one marker per run."""
    runs = residuals(measurements)
    busy = runs["flags"].notna() & (runs["flags"] != "")
    handles = drawing.framework_handles(measurements["framework"], labels, linestyle="none")
    if busy.any():
        handles.append(
            Line2D([], [], color=drawing.INK, linestyle="none", label=language["campaign_flagged"], **FLAGGED)
        )
    devices = sorted(measurements["device"].unique())
    figure, all_axes = drawing.panels(
        [2.3] * len(devices),
        language["title_campaign"],
        drawing.provenance(measurements, language, labels),
        [language["note_campaign"]],
        titles=[selection.device_name(measurements, device) for device in devices if len(devices) > 1],
        handles=handles,
    )
    styles = drawing.framework_styles(measurements["framework"])
    for axes, device in zip(all_axes, devices, strict=True):
        of_device = runs[runs["device"] == device]
        for start in of_device.groupby("round")["minutes"].min():
            axes.axvline(start, color="#D0D0D0", linewidth=0.8)
        axes.axhline(0, color=drawing.INK, linewidth=0.8)
        for (framework, is_flagged), drawn in of_device.groupby(["framework", busy]):
            colour, marker = styles[framework]
            look = FLAGGED if is_flagged else {"marker": marker, "markersize": 4.5}
            axes.plot(drawn["minutes"], drawn["percent"], color=colour, linestyle="none", alpha=0.85, **look)
        axes.yaxis.set_major_formatter(lambda value, _: language["percent"].format(percent=_signed(value)))
        axes.grid(axis="y")
        axes.set_ylabel(language["axis_relative_to_cell"])
    all_axes[-1].set_xlabel(language["axis_campaign"])
    return figure


def _signed(value: float) -> str:
    return numbers.number(value, "+g") if value else "0"


def in_words(row: Mapping[Any, Any], level: float, language: Language) -> str:
    """A sentence on drift, and one on the order inside the rounds, from a row of order.csv.

    Either is called shown if its p-value is below `level`.
    """
    drift = language[f"drift_{_known(row['drift_p'], level)}"]
    order = language[f"order_{_known(row['order_p'], level)}"]
    percent = numbers.number(100 * row["drift_per_hour"], "+.1f")
    return f"{drift} {order}".format(percent=percent, drift_p=row["drift_p"], order_p=row["order_p"])


def _known(p: float, level: float) -> str:
    """The end of a text's key that fits a p-value: shown, chance or unknown."""
    if pd.isna(p):
        return "unknown"
    return "shown" if p < level else "chance"


FIGURE = registry.Figure("campaign", draw, section="steadiness", place=40)
