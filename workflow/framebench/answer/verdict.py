"""The answer in words: Keras or PyTorch, for each workload on each device measured."""

import argparse
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from framebench import languages, workloads
from framebench.analyse import agreement, given, machines, overhead, selection, why
from framebench.analyse.comparisons import ACROSS, DECIDED, FASTER, MOST_ROUNDS, PAGE, QUESTION, SAME, SLOWER, UNDECIDED
from framebench.analyse.table import TableError, flagged, one_line
from framebench.answer import gains
from framebench.languages import Language
from framebench.plan import catalogue
from framebench.record import BLOCK, CELL, STAND_IN

# The order of the sentences: what one gets without tuning anything comes first.
SPOKEN_OF = ["device", "track", "precision", "workload", "input"]

BUSY = "busy_machine"
# Verdicts of agreement.csv on two versions → what is said of them.
VERSIONS = {agreement.SLOWER: "verdict_slower_since", agreement.FASTER: "verdict_faster_since"}
# Findings of overhead.csv → what is said of them.
COSTS = {overhead.FIXED: "cost_fixed", overhead.GROWS: "cost_grows", overhead.BOTH: "cost_both"}

# Findings of why.csv → what is said of them.
REASONS = {why.DEVICE: "why_device", why.HOST: "why_host", why.BOTH: "why_both"}


# The tables that the sentences are made of; of merged results agreement.csv too.
NEEDS = ("measurements", "comparisons", "effects", "overhead", "why")
SETTINGS = ("baseline", "question")


@dataclass(frozen=True)
class Sentence:
    """A sentence of the verdict, and the rows that it was made from: those of `table` with the values in `where`."""

    text: str
    table: str
    where: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """Two frameworks of one block, of which one may be the faster; `runs` holds the block's runs."""

    runs: pd.DataFrame
    framework: str
    reference: str

    @property
    def block(self) -> pd.Series:
        return self.runs.iloc[0][BLOCK]


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
    results: Path = Path("results"),
    agreement: pd.DataFrame | None = None,
) -> list[Sentence]:
    """The whole verdict, from the tables of those names, one sentence or two an item.

    First, whether any run was made without the card that it names. Per device, track, precision, workload, input
    and pair: the answer at the article's batch size, and what the other sizes answer. Then what tuned settings gain,
    what Keras itself costs, of merged results which version of a framework made it slower or faster, how many verdicts
    are adjusted together, where runs failed, and where the machine was busy, with a command that deletes such
    records in `results`.
    `labels` gives the display name of each framework.
    """
    at_size = selection.at_article_size(measurements, article_batch_sizes)
    said = [Sentence(language["stand_in"], "measurements")] if flagged(measurements, STAND_IN).any() else []
    for asked in _asked(at_size, baseline, question):
        other = _other_sizes(asked, comparisons, language, labels)
        text = " ".join(filter(None, [_answer(asked, comparisons, language, labels), other]))
        said.append(Sentence(text, "comparisons", asked.block.to_dict()))
    said += _gains(measurements, effects, language, article_batch_sizes, labels)
    said += _costs(measurements, overhead, language, article_batch_sizes, labels)
    for runs in _default_blocks(measurements, article_batch_sizes):
        said += _why(runs, why, language, labels, pairs(runs["framework"].unique(), baseline, question))
    if agreement is not None:
        said += _versions(agreement, language, labels)
    said += [Sentence(text, "comparisons") for text in adjustment(comparisons, language)]
    apart = comparisons["method"].str.contains(ACROSS, regex=False).sum() // 2
    if apart:
        text = language["verdict_across_cards"].format(apart=apart, comparisons=len(comparisons) // 2)
        said.append(Sentence(text, "comparisons"))
    unfinished = (measurements["status"] != "ok").groupby([measurements[key] for key in CELL]).any()
    if unfinished.any():
        text = language["verdict_failed_cells"].format(failed=unfinished.sum(), cells=len(unfinished))
        said.append(Sentence(text, "measurements"))
    busy = flagged(measurements, BUSY).sum()
    if busy:
        delete = f"grep -rl --null {BUSY} {shlex.quote(str(results / 'runs'))} | xargs -0 rm"
        # Only where they were measured can they be measured again.
        merged = measurements["device"].map(machines.machine).any()
        text = language["verdict_busy_merged" if merged else "verdict_busy"].format(
            busy=busy, runs=len(measurements), flag=BUSY, delete=delete
        )
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
    """One sentence per pair, as `pairs` has them, in each block of `runs`.

    The faster framework is the subject, so that a ratio said is at least 1.
    """
    return [_answer(asked, comparisons, language, labels) for asked in _asked(runs, baseline, question)]


def adjustment(comparisons: pd.DataFrame, language: Language) -> list[str]:
    """How many verdicts are adjusted together, the question's and the others, where there is more than one."""
    asked, others = (_number(comparisons, family) for family in (QUESTION, PAGE))
    key = "verdict_adjusted_apart" if asked and others else "verdict_adjusted"
    text = language[key].format(comparisons=asked or others, others=others)
    return [text] if asked + others > 1 else []


def _number(comparisons: pd.DataFrame, family: str) -> int:
    """How many verdicts of a family were adjusted; each stands in the table twice, once from either side."""
    return comparisons.loc[comparisons["family"] == family, "p_adjusted"].notna().sum() // 2


def pairs(frameworks: Collection[str], baseline: str, question: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """The pairs spoken of: that which the `question` names, where both are among the frameworks.

    Else PyTorch with each Keras; where there is no such pair, every framework with `baseline`.
    """
    if question and set(question) <= set(frameworks):
        first, second = question
        return [(first, second)]
    frameworks = sorted(frameworks)
    keras = [framework for framework in frameworks if framework.startswith("keras-")]
    if "pytorch" in frameworks and keras:
        return [("pytorch", one) for one in keras]
    return [(framework, baseline) for framework in frameworks if framework != baseline]


def _asked(runs: pd.DataFrame, baseline: str, question: Sequence[str] | None) -> Iterator[Asked]:
    """The pairs in each block of `runs`, in the order in which they are spoken of."""
    spoken_of = pairs(runs["framework"].unique(), baseline, question)
    # Not by the alphabet: every framework's own precision first.
    keys = [runs["precision"] != "float32" if key == "precision" else key for key in SPOKEN_OF]
    for _, of_block in runs.groupby([*keys, "precision", "batch_size"]):
        for framework, reference in spoken_of:
            yield Asked(of_block, framework, reference)


def _answer(asked: Asked, comparisons: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> str:
    key, values = _finding(asked, comparisons, language, labels)
    device = selection.device_name(asked.runs, asked.block["device"])
    return language[key].format(**values, device=device, cell=_cell(asked.block, language))


def _cell(block: pd.Series, language: Language) -> str:
    """Workload and batch size in words, and where they are not the usual, track, precision and input."""
    conditions = []
    if block["track"] != "default":
        conditions.append(language[f"track_{block['track']}"])
    if block["precision"] != "float32":
        conditions.append(block["precision"])
    if block["input"] != "device":
        conditions.append(language[f"input_{block['input']}"])
    key = "verdict_cell_unusual" if conditions else "verdict_cell"
    doing = "training" if workloads.load(block["workload"]).trains else "inference"
    values = {"doing": language[f"doing_{doing}"], "workload": block["workload"], "batch_size": block["batch_size"]}
    return language[key].format(**values, **({"conditions": ", ".join(conditions)} if conditions else {}))


def _finding(
    asked: Asked, comparisons: pd.DataFrame, language: Language, labels: Mapping[str, str]
) -> tuple[str, dict[str, object]]:
    """Key of the sentence that answers what is asked, and its values."""
    framework, reference = asked.framework, asked.reference
    values: dict[str, object] = {"framework": labels[framework], "reference": labels[reference]}
    sides = {side: asked.runs[asked.runs["framework"] == side] for side in (framework, reference)}
    failures = [_side(runs, labels[side], language) for side, runs in sides.items() if selection.state(runs) != "ok"]
    compared = _compared(asked, comparisons)
    compared = compared[compared["batch_size"] == asked.block["batch_size"]]
    if failures or compared.empty:
        reason = ", ".join(failures) or language["status_not_measured"]
        return "verdict_not_comparable", values | {"reason": reason}
    row = compared.iloc[0]
    if pd.notna(row["ratio"]) and pd.isna(row["ci_low"]):
        return "verdict_too_few_rounds", values | {"rounds": row["rounds"]}
    if reason := selection.obstacle(row["verdict"]):
        return "verdict_not_comparable", values | {"reason": reason}
    values |= _ratios(ratio=row["ratio"], low=row["ci_low"], high=row["ci_high"])
    values |= {"confidence": 100 * row["confidence"], "rounds": row["rounds"]}
    values |= {"within": 100 * row["same_within"], "needed": row["rounds_to_decide"], "most": MOST_ROUNDS}
    if row["verdict"] == UNDECIDED:
        return "verdict_undecided" if pd.notna(row["rounds_to_decide"]) else "verdict_undecidable", values
    if row["verdict"] == SAME:
        return "verdict_same", values
    if row["verdict"] == SLOWER:
        values |= {"framework": labels[reference], "reference": labels[framework]}
        values |= _ratios(ratio=1 / row["ratio"], low=1 / row["ci_high"], high=1 / row["ci_low"])
    within = row["p_same_adjusted"] < 1 - row["confidence"]
    return "verdict_faster_within" if within else "verdict_faster", values


def _ratios(**ratios: float) -> dict[str, str]:
    """Ratios as they are said: to two decimals, or to as many as show on which side of 1 one lies."""

    def said(ratio: float) -> str:
        texts = (f"{ratio:.{decimals}f}" for decimals in range(2, 17))
        return next((text for text in texts if float(text) != 1), f"{ratio:.2f}")

    return {name: said(ratio) for name, ratio in ratios.items()}


def _compared(asked: Asked, comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of the asked pair at every batch size of its block, in their order."""
    alike = (comparisons[selection.PANEL] == asked.block[selection.PANEL]).all(axis=1)
    pair = (comparisons["framework"] == asked.framework) & (comparisons["reference"] == asked.reference)
    return comparisons[alike & pair].sort_values("batch_size")


def _side(runs: pd.DataFrame, label: str, language: Language) -> str:
    """What became of a framework without a single run that counts, with the first reason recorded."""
    status = language[f"status_{selection.state(runs)}"]
    reasons = runs["reason"].dropna()
    if reasons.empty:
        return language["verdict_side"].format(framework=label, status=status)
    return language["verdict_side_reason"].format(framework=label, status=status, reason=one_line(reasons.iloc[0], 120))


def _other_sizes(asked: Asked, comparisons: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> str:
    """What the other batch sizes of the asked block answer, in one sentence; empty where no size answers."""
    compared = _compared(asked, comparisons)
    winners = {FASTER: labels[asked.framework], SLOWER: labels[asked.reference]}
    answers = compared["verdict"].where(compared["verdict"].isin([*DECIDED, UNDECIDED]), "")
    if not answers.any():
        return ""
    here = compared["batch_size"] == asked.block["batch_size"]
    found: dict[tuple[str, str], list[str]] = {}
    for batch_size, answer in zip(compared["batch_size"][~here], answers[~here], strict=True):
        key = "verdict_size_faster" if answer in winners else f"verdict_size_{answer or 'none'}"
        found.setdefault((key, winners.get(answer, "")), []).append(str(batch_size))
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
    """One sentence per device and workload: how much faster than by default each tuned framework is, and why."""
    tuned = effects[(effects["effect"] == gains.TUNED) & effects["ratio"].notna()]
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
                cell=_cell(by_default, language),
                confidence=100 * rows["confidence"].iloc[0],
                gains="; ".join(found),
            )
            yield Sentence(text, "effects", block.to_dict())


def _gain(row: Mapping[Any, Any], runs: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> str:
    """What one framework gains, from its row of the effects and its runs of both tracks, and why if it does."""
    values = {"framework": labels[row["framework"]]}
    values |= _ratios(ratio=row["ratio"], low=row["ci_low"], high=row["ci_high"])
    if gains.chosen(runs) == {}:
        key = "verdict_gain_nothing"
    elif pd.isna(row["ci_low"]):
        key = "verdict_gain_no_interval"
    elif row["ci_low"] <= 1 <= row["ci_high"]:
        key = "verdict_gain_not_shown"
    else:
        key = "verdict_gain"
    why = gains.explained(runs, language) if key == "verdict_gain" and row["ratio"] > 1 else ""
    return ": ".join(filter(None, [language[key].format(**values), why]))


def _default_blocks(measurements: pd.DataFrame, article_batch_sizes: Mapping[str, int]) -> Iterator[pd.DataFrame]:
    """The runs of one block per device and workload, by default."""
    at_size = selection.article_form(measurements, "default", article_batch_sizes)
    for _, runs in at_size.groupby(["device", "workload"]):
        yield runs


def _costs(
    measurements: pd.DataFrame,
    overheads: pd.DataFrame,
    language: Language,
    article_batch_sizes: Mapping[str, int],
    labels: Mapping[str, str],
) -> Iterator[Sentence]:
    """One sentence per device and workload: what Keras itself costs on each framework that computes under it."""
    for runs in _default_blocks(measurements, article_batch_sizes):
        block = runs.iloc[0][BLOCK]
        rows = overheads[(overheads[BLOCK] == block).all(axis=1)].dropna(subset="extra_ms_low")
        if len(rows):
            text = language["verdict_costs"].format(
                device=selection.device_name(runs, block["device"]),
                cell=_cell(block, language),
                confidence=100 * rows["confidence"].iloc[0],
                costs="; ".join(_cost(row, language, labels) for row in rows.to_dict("records")),
            )
            yield Sentence(text, "overhead", block.to_dict())


def _cost(row: Mapping[Any, Any], language: Language, labels: Mapping[str, str]) -> str:
    """What Keras costs on one framework, from its row of the overheads, and what that is a cost of."""
    key = COSTS.get(row["finding"])
    if key is None:
        key = "cost_none" if row["extra_ms_low"] <= 0 <= row["extra_ms_high"] else "cost_untold"
    return language[key].format(**{**row, "native": labels[row["native"]]})


def _why(
    runs: pd.DataFrame,
    whys: pd.DataFrame,
    language: Language,
    labels: Mapping[str, str],
    asked: Sequence[tuple[str, str]],
) -> Iterator[Sentence]:
    """A sentence on a block, of its `runs`: where it shows, whether device or host makes the difference of a pair.

    Of the pairs that are `asked` about, and of each Keras with what computes under it.
    """
    block, frameworks = runs.iloc[0][BLOCK], runs["framework"].unique()
    natives = [(one, native) for one in frameworks if (native := catalogue.beneath(one, frameworks))]
    spoken_of = {frozenset(pair) for pair in [*asked, *natives]}
    rows = whys[(whys[BLOCK] == block).all(axis=1) & whys["finding"].isin(REASONS)].to_dict("records")
    told = []
    for row in rows:
        framework, reference = row["framework"], row["reference"]
        if {framework, reference} in spoken_of:
            row |= {"framework": labels[framework], "reference": labels[reference]}
            told.append(language["why_pair"].format_map(row | {"shown": language[REASONS[row["finding"]]]}))
    if told:
        text = language["verdict_whys"].format(
            device=selection.device_name(runs, block["device"]),
            cell=_cell(block, language),
            confidence=100 * rows[0]["confidence"],
            whys="; ".join(told),
        )
        yield Sentence(text, "why", block.to_dict())


def _versions(agreements: pd.DataFrame, language: Language, labels: Mapping[str, str]) -> Iterator[Sentence]:
    """One sentence per cell that a version of a framework made slower or faster, and one on all that show nothing."""
    of_versions = agreements[agreements["since"].notna()]
    for row in of_versions.to_dict("records"):
        key = VERSIONS.get(row["verdict"])
        if key is None:
            continue
        text = language[key].format(
            device=row["device_name"],
            framework=labels[row["framework"]],
            since=row["since"],
            cell=_cell(pd.Series(row), language),
            **_ratios(ratio=row["ratio"], low=row["ci_low"], high=row["ci_high"]),
            before=row["reference_version"],
            confidence=100 * row["confidence"],
            runs=row["runs"],
            runs_before=row["reference_runs"],
        )
        yield Sentence(text, "agreement", {key: row[key] for key in [*BLOCK[1:], "framework"]})
    silent = (~of_versions["verdict"].isin(VERSIONS)).sum()
    if silent:
        yield Sentence(language["verdict_versions_alike"].format(cells=silent, all=len(of_versions)), "agreement")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sentences, one a line; one line of error and exit status 1 where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m framebench verdict", description=__doc__)
    parser.add_argument("--language", required=True, help=f"one of {', '.join(languages.languages())}")
    given.add_options(parser, NEEDS, SETTINGS)
    parser.add_argument("--agreement", nargs=1, type=Path, metavar="FILE", help="agreement.csv, of merged results")
    parser.add_argument("--output", required=True, type=Path, metavar="TXT", help="text file to write, UTF-8")
    options = parser.parse_args(arguments)
    try:
        merged = ["agreement"] if options.agreement else []
        values = given.read(options, [*NEEDS, *merged], SETTINGS, typed=False)
        workloads_of, frameworks = (set(values["measurements"][column]) for column in ("workload", "framework"))
        said = sentences(
            **values,
            article_batch_sizes={name: workloads.load(name).article_batch_size for name in workloads_of},
            language=languages.load(options.language),
            labels={name: catalogue.framework_label(name) for name in {*frameworks, options.baseline}},
            results=options.measurements[0].parent,
        )
    except (ValueError, OSError, ModuleNotFoundError, catalogue.AdapterError, TableError) as error:
        raise SystemExit(f"error: {error}") from error
    options.output.write_text("".join(f"{sentence.text}\n" for sentence in said), encoding="utf-8")
