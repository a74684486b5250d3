"""Share of the device's peak that each run reaches."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from framebench.analyse.limits import CEILING
from framebench.figures import over_batch_size, registry
from framebench.languages import Language
from framebench.record import CELL

SHARE_OF_PEAK = over_batch_size.Quantity("percent_of_peak", "share_of_peak")


def draw(
    measurements: pd.DataFrame,
    limits: pd.DataFrame,
    *,
    confidence: float,
    language: Language,
    labels: Mapping[str, str],
) -> Figure:
    """Draw what each run achieved by the peak that limits.csv has for its cell, as `over_batch_size` does."""
    peaks = measurements[CELL].merge(limits[[*CELL, "peak_gflops"]], on=CELL, how="left")["peak_gflops"]
    shares = measurements.assign(percent_of_peak=100 * measurements["achieved_gflops"] / peaks.to_numpy())
    notes = notes_on_peaks(limits, language=language, labels=labels)
    return over_batch_size.draw(shares, confidence, SHARE_OF_PEAK, language=language, labels=labels, notes=notes)


def notes_on_peaks(limits: pd.DataFrame, *, language: Language, labels: Mapping[str, str]) -> list[str]:
    """The peak that is 100 % on each device in each precision, and its source."""
    notes = []
    for (device, precision), rows in limits.dropna(subset="peak_gflops").groupby(["device", "precision"]):
        one = rows.iloc[0]
        measured = one["peak_source"] == CEILING
        by = "" if pd.isna(one["ceiling_framework"]) else labels[one["ceiling_framework"]]
        notes.append(
            language["peak_measured" if measured else "peak_stated"].format(
                device=device, precision=precision, gflops=one["peak_gflops"], source=one["peak_source"], framework=by
            )
        )
        if not measured and by:
            share = 100 * one["ceiling_gflops"] / one["peak_gflops"]
            notes.append(language["peak_ceiling"].format(framework=by, percent=share))
    return notes


FIGURE = registry.Figure("share-of-peak", draw, section="static", place=27)
