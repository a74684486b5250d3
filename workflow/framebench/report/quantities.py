"""Every cell of a campaign with its measured quantities, or the reason for a gap."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from framebench.analyse import costs, selection, why
from framebench.analyse.table import one_line
from framebench.figures import drawing, over_batch_size
from framebench.languages import Language
from framebench.record import BLOCK, CELL
from framebench.report.results import Results


@dataclass(frozen=True)
class Quantity:
    """A quantity of a cell; a language has its title as `quantity_<name>` and its meaning as `meaning_<name>`."""

    name: str
    decimals: int
    table: str  # the table behind it
    reference: float | None = None  # the value that others are compared with, on a log axis


QUANTITIES = (
    Quantity("throughput", 0, "measurements"),
    Quantity("ratio", 2, "comparisons", reference=1),
    Quantity("memory", 0, "measurements"),
    Quantity("energy", 2, "measurements"),
    Quantity("first_step", 2, "measurements"),
    Quantity("host_wait", 2, "measurements"),
    Quantity("share_of_peak", 1, "limits"),
)


@dataclass(frozen=True)
class Value:
    """A quantity of a cell, with bounds if it has any; without a number, `remark` gives the reason."""

    number: float | None
    low: float | None = None
    high: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Measured:
    where: Mapping[str, Any]  # its keys, those of CELL
    state: str
    runs: int
    ok: int
    reasons: list[str]  # of the runs that are not ok, each once
    flags: Mapping[str, int]  # each flag with its number of runs
    values: Mapping[str, Value]  # by name of the quantity


def cells(results: Results, baseline: str, language: Language) -> list[Measured]:
    """Every framework of the campaign in every block, sorted, including those that were not measured there."""
    measurements, comparisons = results.measurements, results.tables["comparisons"]
    confidence = drawing.confidence_of(comparisons)
    speeds, energies = (
        over_batch_size.summary(measurements, confidence, column).set_index(CELL)
        for column in ("images_per_s", "images_per_j")
    )
    frameworks = sorted(measurements["framework"].unique())
    found = []
    for block, of_block in measurements.groupby(BLOCK):
        for framework in frameworks:
            key = (*block, framework)
            where = dict(zip(CELL, key, strict=True))
            runs = of_block[of_block["framework"] == framework]
            state = selection.state(runs)
            reasons = [one_line(reason, 300) for reason in runs["reason"].dropna().unique()]
            if state == "ok":
                values = {
                    "throughput": _of_summary(speeds.loc[key], language["page_not_recorded"]),
                    "ratio": _ratio(where, comparisons, baseline, language),
                    "memory": _of_runs(runs, costs.memory_mib(runs), language),
                    "energy": _of_summary(energies.loc[key], _no_energy(runs, language)),
                    "first_step": _of_runs(runs, costs.start_s(runs), language),
                    "host_wait": _host_wait(runs, language),
                    "share_of_peak": _share_of_peak(where, results.tables.get("limits"), language),
                }
            else:
                no_run = ": ".join([language[f"status_{state}"], *reasons[:1]])
                values = {quantity.name: Value(None, remark=no_run) for quantity in QUANTITIES}
            flags = Counter(flag for flags in runs["flags"].dropna() for flag in flags.split(";") if flag)
            found.append(Measured(where, state, len(runs), int((runs["status"] == "ok").sum()), reasons, flags, values))
    return found


def _of_summary(summary: pd.Series, untold: str) -> Value:
    """The geometric mean over the runs and its interval, from a row of `over_batch_size.summary`."""
    if pd.isna(summary["mean"]):
        return Value(None, remark=untold)
    return Value(summary["mean"], *_bounds(summary["low"], summary["high"]))


def _of_runs(runs: pd.DataFrame, values: pd.Series, language: Language) -> Value:
    """The median over the ok runs that report it, with the least and the most; for one run, its value alone."""
    told = values[runs["status"] == "ok"].dropna()
    if told.empty:
        return Value(None, remark=language["page_not_recorded"])
    return Value(told.median(), *((told.min(), told.max()) if len(told) > 1 else ()))


def _host_wait(runs: pd.DataFrame, language: Language) -> Value:
    """The waiting time for the host in a step, like `_of_runs`; without one, the profiler's reason."""
    value = _of_runs(runs, why.split(runs)["host_ms"], language)
    reasons = runs["profile_reason"].dropna()
    if value.number is None and len(reasons):
        return Value(None, remark=one_line(reasons.iloc[0], 300))
    return value


def _ratio(where: Mapping[str, Any], comparisons: pd.DataFrame, baseline: str, language: Language) -> Value:
    """The row of comparisons.csv on the cell's framework and the baseline."""
    if where["framework"] == baseline:
        return Value(1.0, remark=language["page_baseline"])
    of_block = (comparisons[BLOCK] == pd.Series(where)[BLOCK]).all(axis=1)
    pair = (comparisons["framework"] == where["framework"]) & (comparisons["reference"] == baseline)
    rows = comparisons[of_block & pair]
    if rows.empty:
        return Value(None, remark=language["page_no_comparison"])
    row = rows.iloc[0]
    remark = in_words(row["verdict"], language)
    if pd.isna(row["ratio"]):
        return Value(None, remark=remark)
    return Value(row["ratio"], *_bounds(row["ci_low"], row["ci_high"]), remark)


def in_words(verdict: str, language: Language) -> str:
    """A verdict of comparisons.csv in the page's language; `not comparable` keeps its recorded reason."""
    if reason := selection.obstacle(verdict):
        return f"{language['not_comparable']}: {reason}"
    return language[f"page_{verdict.replace(' ', '_')}"]


def _no_energy(runs: pd.DataFrame, language: Language) -> str:
    reasons = runs["energy_reason"].dropna()
    if len(reasons):
        return one_line(reasons.iloc[0], 300)
    return language["page_not_recorded" if runs["device_uuid"].notna().any() else "page_no_energy_on_cpu"]


def _share_of_peak(where: Mapping[str, Any], limits: pd.DataFrame | None, language: Language) -> Value:
    """The share of peak in percent, from limits.csv."""
    if limits is None:
        return Value(None, remark=language["page_no_table"].format(table="limits.csv"))
    shares = limits.loc[(limits[CELL] == pd.Series(where)[CELL]).all(axis=1), "share_of_peak"].dropna()
    return Value(100 * shares.iloc[0]) if len(shares) else Value(None, remark=language["page_not_recorded"])


def _bounds(low: float, high: float) -> tuple[float | None, float | None]:
    return (None, None) if pd.isna(low) else (low, high)
