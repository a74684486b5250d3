"""Sentences of the answer, as a list: everything that the tables show about the question and the reasons."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from framebench.analyse import agreement, machines, overhead, selection, why
from framebench.analyse.comparisons import ACROSS, DECIDED, FASTER, MOST_ROUNDS, PAGE, QUESTION, SAME, SLOWER, UNDECIDED
from framebench.analyse.effects import KEPT, NOT_SHOWN, TUNED
from framebench.analyse.table import flagged
from framebench.answer import gains
from framebench.answer.asked import Asked, asked, cell, obstacle, of_pair, pairs, shown
from framebench.languages import Language, numbers
from framebench.plan import catalogue
from framebench.record import BLOCK, BUSY, CELL, NOT_MEASURED, STAND_IN, THROTTLED

# Verdicts of agreement.csv on two versions → key of the sentence.
VERSIONS = {agreement.SLOWER: "verdict_slower_since", agreement.FASTER: "verdict_faster_since"}
# Findings of overhead.csv → key of the sentence.
COSTS = {
    overhead.FIXED: "cost_fixed",
    overhead.GROWS: "cost_grows",
    overhead.BOTH: "cost_both",
    overhead.UNTOLD: "cost_untold",
}
# Findings of why.csv → key of the sentence.
REASONS = {why.DEVICE: "why_device", why.HOST: "why_host", why.BOTH: "why_both"}


@dataclass(frozen=True)
class Sentence:
    """A sentence of the answer, and the rows behind it: those of `table` with the values in `where`."""

    text: str
    table: str
    where: Mapping[Any, Any] = field(default_factory=dict)


def sentences(
    measurements: pd.DataFrame,
    comparisons: pd.DataFrame,
    effects: pd.DataFrame,
    overhead: pd.DataFrame,
    why: pd.DataFrame,
    *,
    article_batch_sizes: Mapping[str, int],
    language: Language,
    labels: Mapping[str, str],
    baseline: str = "tensorflow",
    question: Sequence[str] | None = None,
    agreement: pd.DataFrame | None = None,
) -> list[Sentence]:
    """The whole answer from the tables, by name; one or two sentences an item.

    For each device, track, precision, workload, input and pair: the answer at the article's batch size, then the other
    sizes. Next come the gain of tuned settings, the cost of Keras itself, and whether device or host makes the
    difference, each only for pairs whose verdict shows one. Merged results add the versions that made a framework
    slower or faster. The last sentence says how many verdicts are adjusted together. `labels` gives the display name of
    each framework.
    """
    at_size = selection.at_article_size(measurements, article_batch_sizes)
    said = []
    for one in asked(at_size, baseline, question):
        other = _other_sizes(one, comparisons, language, labels)
        text = " ".join(filter(None, [_answer(one, comparisons, language, labels), other]))
        said.append(Sentence(text, "comparisons", one.block.to_dict()))
    said += _gains(measurements, effects, language, article_batch_sizes, labels)
    for runs in _default_blocks(measurements, article_batch_sizes):
        said += _costs(runs, overhead, comparisons, language, labels)
        spoken_of = pairs(runs["framework"].unique(), baseline, question)
        said += _why(runs, why, comparisons, language, labels, spoken_of=spoken_of)
    if agreement is not None:
        said += _versions(agreement, language, labels)
    return said + [Sentence(text, "comparisons") for text in adjustment(comparisons, language)]


def warnings(measurements: pd.DataFrame, comparisons: pd.DataFrame, language: Language) -> list[Sentence]:
    """Facts that weaken the answer: stand-ins, two devices in one comparison, missing and failed runs, other work."""
    said = [Sentence(language["stand_in"], "measurements")] if flagged(measurements, STAND_IN).any() else []
    apart = comparisons["method"].str.contains(ACROSS, regex=False).sum() // 2
    if apart:
        text = language["verdict_across_cards"].format(apart=apart, comparisons=len(comparisons) // 2)
        said.append(Sentence(text, "comparisons"))
    absent = (measurements["status"] == NOT_MEASURED).sum()
    if absent:
        text = language["verdict_not_measured"].format(absent=absent, runs=len(measurements))
        said.append(Sentence(text, "measurements"))
    failed = ~measurements["status"].isin(["ok", NOT_MEASURED])
    unfinished = failed.groupby([measurements[key] for key in CELL]).any()
    if unfinished.any():
        text = language["verdict_failed_cells"].format(failed=unfinished.sum(), cells=len(unfinished))
        said.append(Sentence(text, "measurements"))
    busy = flagged(measurements, BUSY).sum()
    if busy:
        # Runs can be measured again only where they were measured.
        merged = measurements["device"].map(machines.machine).any()
        text = language["verdict_busy_merged" if merged else "verdict_busy"].format(busy=busy, runs=len(measurements))
        said.append(Sentence(text, "measurements"))
    if held := flagged(measurements, THROTTLED).sum():
        cores = f"{measurements['cpu_quota_cores'].min():g}"
        text = language["verdict_throttled"].format(held=held, runs=len(measurements), cores=cores)
        said.append(Sentence(text, "measurements"))
    if names := sorted({name for told in measurements["inherited_variables"].dropna() for name in json.loads(told)}):
        text = language["verdict_inherited"].format(names=", ".join(names))
        said.append(Sentence(text, "measurements"))
    return said


def answers(
    comparisons: pd.DataFrame,
    runs: pd.DataFrame,
    language: Language,
    labels: Mapping[str, str],
    *,
    baseline: str,
    question: Sequence[str] | None = None,
) -> list[str]:
    """One sentence per pair of `asked.pairs`, in each block of `runs`.

    The faster framework is the subject, so the ratio is at least 1.
    """
    return [_answer(one, comparisons, language, labels) for one in asked(runs, baseline, question)]


def adjustment(comparisons: pd.DataFrame, language: Language) -> list[str]:
    """A sentence on the number of verdicts adjusted together, for the question and for the rest, if more than one."""
    of_question, others = (_number(comparisons, family) for family in (QUESTION, PAGE))
    key = "verdict_adjusted_apart" if of_question and others else "verdict_adjusted"
    text = language[key].format(comparisons=of_question or others, others=others)
    return [text] if of_question + others > 1 else []


def _number(comparisons: pd.DataFrame, family: str) -> int:
    """The number of adjusted verdicts in a family; each is in the table twice, once from either side."""
    return comparisons.loc[comparisons["family"] == family, "p_adjusted"].notna().sum() // 2


def _answer(one: Asked, comparisons: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> str:
    key, values = _finding(one, comparisons, language, labels)
    device = selection.device_name(one.runs, one.block["device"])
    return language[key].format(**values, device=device, cell=cell(one.block, language))


def _finding(
    one: Asked, comparisons: pd.DataFrame, language: Language, labels: Mapping[str, str]
) -> tuple[str, dict[str, object]]:
    """Key of the sentence that answers the question, and its values."""
    sides = [labels[one.framework], labels[one.reference]]
    row = one.row(comparisons)
    values: dict[str, object] = dict(zip(("framework", "reference"), sides, strict=True))
    if row and pd.notna(row["ratio"]) and pd.isna(row["ci_low"]):
        return "verdict_too_few_rounds", values | {"rounds": row["rounds"]}
    if (reason := obstacle(one, row, language, labels)) or not row:
        return "verdict_not_comparable", values | {"reason": reason}
    ratio, low, high = row["ratio"], row["ci_low"], row["ci_high"]
    if row["verdict"] == SLOWER:
        values = dict(zip(("framework", "reference"), sides[::-1], strict=True))
        ratio, low, high = 1 / ratio, 1 / high, 1 / low
    values |= {"ratio": numbers.ratio(ratio), "interval": numbers.interval(low, high)}
    values |= {"confidence": 100 * row["confidence"], "rounds": row["rounds"]}
    values |= {"within": 100 * row["same_within"], "needed": row["rounds_to_decide"], "most": MOST_ROUNDS}
    if row["verdict"] == UNDECIDED:
        return "verdict_undecided" if pd.notna(row["rounds_to_decide"]) else "verdict_undecidable", values
    if row["verdict"] == SAME:
        return "verdict_same", values
    within = row["p_same_adjusted"] < 1 - row["confidence"]
    return "verdict_faster_within" if within else "verdict_faster", values


def _other_sizes(one: Asked, comparisons: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> str:
    """One sentence on the other batch sizes of the asked block; empty if none has an answer."""
    compared = of_pair(comparisons, one)
    winners = {FASTER: labels[one.framework], SLOWER: labels[one.reference]}
    verdicts = compared["verdict"].where(compared["verdict"].isin([*DECIDED, UNDECIDED]), "")
    if not verdicts.any():
        return ""
    here = compared["batch_size"] == one.block["batch_size"]
    found: dict[tuple[str, str], list[str]] = {}
    for batch_size, verdict in zip(compared["batch_size"][~here], verdicts[~here], strict=True):
        key = "verdict_size_faster" if verdict in winners else f"verdict_size_{verdict or 'none'}"
        found.setdefault((key, winners.get(verdict, "")), []).append(str(batch_size))
    findings = [
        language[key].format(batch_sizes=", ".join(batch_sizes), framework=winner)
        for (key, winner), batch_sizes in found.items()
    ]
    return language["verdict_sizes"].format(findings="; ".join(findings)) if findings else ""


def _gains(
    measurements: pd.DataFrame,
    effects: pd.DataFrame,
    language: Language,
    article_batch_sizes: Mapping[str, int],
    labels: Mapping[str, str],
) -> Iterator[Sentence]:
    """One sentence per device and workload: how much faster each tuned framework is than by default, and why."""
    tuned = effects[(effects["effect"] == TUNED) & effects["ratio"].notna()]
    for _, runs in selection.both_tracks(measurements, article_batch_sizes).groupby(["device", "workload"]):
        by_default = runs.iloc[0][BLOCK]
        block = by_default.drop("track")
        rows = tuned[(tuned[block.index] == block).all(axis=1)].sort_values("framework")
        found = [
            _gain(row, runs[runs["framework"] == row["framework"]], language, labels) for row in rows.to_dict("records")
        ]
        if found:
            text = language["verdict_gains"].format(
                device=selection.device_name(runs, by_default["device"]),
                cell=cell(by_default, language),
                confidence=100 * rows["confidence"].iloc[0],
                gains="; ".join(found),
            )
            yield Sentence(text, "effects", block.to_dict())


def _gain(row: Mapping[Any, Any], runs: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> str:
    """One framework's gain, from its row of effects.csv and its runs of both tracks; with the reason if it gains."""
    values = {"framework": labels[row["framework"]], "ratio": numbers.ratio(row["ratio"])}
    if row["verdict"] == KEPT:
        return language["verdict_gain_nothing"].format(**values)
    if pd.isna(row["ci_low"]):
        return language["verdict_gain_no_interval"].format(**values)
    values["interval"] = numbers.interval(row["ci_low"], row["ci_high"])
    if row["verdict"] == NOT_SHOWN:
        return language["verdict_gain_not_shown"].format(**values)
    why = gains.explained(runs, language) if row["verdict"] == FASTER else ""
    return ": ".join(filter(None, [language["verdict_gain"].format(**values), why]))


def _default_blocks(measurements: pd.DataFrame, article_batch_sizes: Mapping[str, int]) -> Iterator[pd.DataFrame]:
    """The runs of one block per device and workload, by default."""
    at_size = selection.article_form(measurements, "default", article_batch_sizes)
    for _, runs in at_size.groupby(["device", "workload"]):
        yield runs


def _costs(
    runs: pd.DataFrame,
    overheads: pd.DataFrame,
    comparisons: pd.DataFrame,
    language: Language,
    labels: Mapping[str, str],
) -> Iterator[Sentence]:
    """A sentence on a block: the cost of Keras itself on each framework beneath it, where a difference is shown."""
    block = runs.iloc[0][BLOCK]
    rows = overheads[(overheads[BLOCK] == block).all(axis=1)].dropna(subset="extra_ms_low").to_dict("records")
    rows = [row for row in rows if shown(comparisons, block, row["framework"], row["native"])]
    if rows:
        text = language["verdict_costs"].format(
            device=selection.device_name(runs, block["device"]),
            cell=cell(block, language),
            confidence=100 * rows[0]["confidence"],
            costs="; ".join(_cost(row, language, labels) for row in rows),
        )
        yield Sentence(text, "overhead", block.to_dict())


def _cost(row: Mapping[Any, Any], language: Language, labels: Mapping[str, str]) -> str:
    """The cost of Keras on one framework, from its row of overhead.csv, and its kind: fixed, growing or both."""
    values = {"native": labels[row["native"]]}
    for name, decimals in (("extra_ms", 2), ("fixed_ms", 2), ("growth_us_per_sample", 1)):
        values |= _with_interval(row, name, decimals)
    return language[COSTS[row["finding"]]].format(**values)


def _with_interval(row: Mapping[Any, Any], name: str, decimals: int) -> dict[str, str]:
    """A number of a table and its interval, as text under its name and `<name>_interval`."""

    def said(number: float) -> str:
        return numbers.number(number, f",.{decimals}f")

    interval = numbers.interval(row[f"{name}_low"], row[f"{name}_high"], said)
    return {name: said(row[name]), f"{name}_interval": interval}


def _why(
    runs: pd.DataFrame,
    whys: pd.DataFrame,
    comparisons: pd.DataFrame,
    language: Language,
    labels: Mapping[str, str],
    *,
    spoken_of: Sequence[tuple[str, str]],
) -> Iterator[Sentence]:
    """A sentence on a block's `runs`: whether device or host makes the difference of a pair, where that is shown.

    It covers the pairs `spoken_of`, and each Keras with its backend, if the verdict on the pair shows a difference.
    """
    block, frameworks = runs.iloc[0][BLOCK], runs["framework"].unique()
    natives = [(one, native) for one in frameworks if (native := catalogue.beneath(one, frameworks))]
    these = {frozenset(pair) for pair in [*spoken_of, *natives]}
    rows = whys[(whys[BLOCK] == block).all(axis=1) & whys["finding"].isin(REASONS)].to_dict("records")
    told = []
    for row in rows:
        framework, reference = row["framework"], row["reference"]
        if {framework, reference} in these and shown(comparisons, block, framework, reference):
            values = {"framework": labels[framework], "reference": labels[reference]}
            values |= {
                "longer_ms": numbers.number(row["longer_ms"], ",.2f"),
                "shown": language[REASONS[row["finding"]]],
            }
            for part in why.PARTS:
                values |= _with_interval(row, f"longer_{part}", 2)
            told.append(language["why_pair"].format(**values))
    if told:
        text = language["verdict_whys"].format(
            device=selection.device_name(runs, block["device"]),
            cell=cell(block, language),
            confidence=100 * rows[0]["confidence"],
            whys="; ".join(told),
        )
        yield Sentence(text, "why", block.to_dict())


def _versions(agreements: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> Iterator[Sentence]:
    """One sentence per cell that a framework's new version made slower or faster, and one on all cells that show
    nothing."""
    of_versions = agreements[agreements["since"].notna()]
    for row in of_versions.to_dict("records"):
        key = VERSIONS.get(row["verdict"])
        if key is None:
            continue
        text = language[key].format(
            device=row["device_name"],
            framework=labels[row["framework"]],
            since=row["since"],
            cell=cell(row, language),
            ratio=numbers.ratio(row["ratio"]),
            interval=numbers.interval(row["ci_low"], row["ci_high"]),
            before=row["reference_version"],
            confidence=100 * row["confidence"],
            runs=row["runs"],
            runs_before=row["reference_runs"],
        )
        yield Sentence(text, "agreement", {key: row[key] for key in [*BLOCK[1:], "framework"]})
    silent = (~of_versions["verdict"].isin(VERSIONS)).sum()
    if silent:
        yield Sentence(language["verdict_versions_alike"].format(cells=silent, all=len(of_versions)), "agreement")
