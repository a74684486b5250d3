"""Number of rounds requested by the rules of config.yaml: `python -m framebench rounds --help`."""

import argparse
import json
import sys
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb, inf, log, sqrt
from pathlib import Path
from statistics import stdev

import pandas as pd

from framebench import files
from framebench.analyse.comparisons import MOST_ROUNDS, half_width, round_seconds
from framebench.analyse.statistics import geometric_mean_interval, rounds_needed, rounds_to_decide
from framebench.analyse.table import TableError, read_record, table
from framebench.plan import matrix
from framebench.plan.config import Config, Rounds, load
from framebench.record import BLOCK, Block


@dataclass(frozen=True)
class Decision:
    """The conditions for deciding the blocks of a campaign, and the time allowed."""

    question: tuple[str, ...] | None  # the two frameworks of the question; None: any two
    margins: Mapping[str, float]  # by device: the share within which two speeds count as the same
    comparisons: int  # pairs of the family, whose verdicts are adjusted together
    budget_s: float  # for the rounds beyond at_least, of all blocks together

    @classmethod
    def of(cls, config: Config) -> "Decision":
        kinds = {device: "gpu" if device in config.on_gpus else "cpu" for device in config.devices}
        blocks = len({cell.block for cell in matrix.cells(config)})
        return cls(
            question=config.question,
            margins={device: config.same_within[kind] for device, kind in kinds.items()},  # type: ignore[literal-required]
            comparisons=blocks * (1 if config.question else comb(len(config.frameworks), 2)),
            budget_s=60 * config.budget_min,
        )


@dataclass(frozen=True)
class Pair:
    """Two frameworks of a block with at least two common rounds in which both are ok."""

    framework: str
    reference: str
    ratios: list[float]  # one per common round

    @property
    def logs(self) -> list[float]:
        return [log(ratio) for ratio in self.ratios]

    def columns(self, confidence: float) -> dict:
        """The pair as columns of a row, with the half width of its interval so far."""
        interval = geometric_mean_interval(self.ratios, confidence)
        width = half_width(interval.low, interval.high) if interval.low and interval.high else None
        return {"framework": self.framework, "reference": self.reference, "half_width": width}


@dataclass(frozen=True)
class Need:
    """The rounds needed to decide a block."""

    at_least: int
    at_most: int
    needed: int | None  # rounds in all; None where MOST_ROUNDS are not enough
    deviation: float  # standard deviation of a round's log ratio behind `needed`
    round_s: float

    @property
    def cost_s(self) -> float:
        """Seconds of the rounds beyond `at_least` that decide the block; infinite where `at_most` are too few."""
        if self.needed is None or self.needed > self.at_most:
            return inf
        return (self.needed - self.at_least) * self.round_s

    def gain(self, rounds: int) -> float:
        """Reduction of the standard error of the mean log ratio by one more round, per second of that round."""
        part = self.deviation * (1 / sqrt(rounds) - 1 / sqrt(rounds + 1))
        return part / self.round_s if self.round_s else inf


def asked(
    measurements: pd.DataFrame, rules: Mapping[Block, Rounds], confidence: float, decision: Decision
) -> list[dict]:
    """One row per block with a rule: BLOCK, the `rounds` for its neediest pair, and that pair.

    `measurements` are those of the first `at_least` rounds, whether they failed or not. `half_width` is that of the
    pair's interval so far, `ci_half_width` the target. By the rule `until: decided` the target is the margin, and the
    row also has `needed`, the rounds that decide the pair (null where MOST_ROUNDS do not, and where no pair has a say),
    `round_s`, the seconds of a round of the block, and `granted`, true where it gets as many rounds as it needs.
    `own_spread` is true where the number of rounds follows from the spread of the block itself.

    A pair with fewer than two rounds in which both are ok has no say; where no pair has one, at_least stays, since more
    rounds would make nothing comparable.
    """
    of_block = dict(iter(measurements.groupby(BLOCK)))
    pairs = {
        block: list(_pairs(of_block[block], decision.question if rule.until else None)) if block in of_block else []
        for block, rule in rules.items()
    }
    needs, own_spread = {}, {}
    until = {block: rule for block, rule in rules.items() if rule.until}
    for block, deviation, own in _deviations({block: pairs[block] for block in until}, until):
        rule, margin, seconds = rules[block], decision.margins[str(block[0])], round_seconds(of_block[block])
        limits = {"at_least": rule.at_least, "at_most": max(MOST_ROUNDS, rule.at_most)}
        needed = rounds_to_decide(deviation, confidence, margin, decision.comparisons, **limits)
        needs[block] = Need(rule.at_least, rule.at_most, needed, deviation, seconds)
        own_spread[block] = own
    granted = spent(_by_job(needs, rules), decision.budget_s)
    rows = []
    for block, rule in rules.items():
        nobody = {"rounds": rule.at_least, "framework": None, "reference": None, "half_width": None}
        row: dict = dict(zip(BLOCK, block, strict=True)) | nobody
        row |= {"at_least": rule.at_least, "own_spread": True}
        if rule.until:
            row |= {"ci_half_width": decision.margins[str(block[0])], "needed": None, "round_s": None}
            if need := needs.get(block):
                row |= {"rounds": granted[_job(block, rule)], "needed": need.needed, "round_s": need.round_s}
                row["own_spread"] = own_spread[block]
                row |= _neediest(pairs[block]).columns(confidence)
            row["granted"] = row["needed"] is not None and row["rounds"] >= row["needed"]
        else:
            row["ci_half_width"] = rule.ci_half_width
            asking = [{"rounds": _to_width(pair, rule, confidence)} | pair.columns(confidence) for pair in pairs[block]]
            row |= max(asking, key=lambda one: (one["rounds"], one["half_width"] or 0), default={})
        rows.append(row)
    return rows


def _deviations(
    pairs: Mapping[Block, list[Pair]], rules: Mapping[Block, Rounds]
) -> Iterator[tuple[Block, float, bool]]:
    """Standard deviation of a round's log ratio for planning each block that has a pair with a say.

    It comes from other blocks: the root of the mean variance of the device's pairs that are measured in other jobs,
    weighted by their degrees of freedom. A number of rounds chosen by them does not depend on the block's own spread,
    so the intervals are those of a fixed number. Where there are no others, it is the block's own; the last value says
    so, and the intervals are the wider ones of two stages (docs/statistics.md).
    """
    logs = {block: [pair.logs for pair in some] for block, some in pairs.items() if some}
    for block in logs:
        job = _job(block, rules[block])
        others = [
            one
            for other, some in logs.items()
            if other[0] == block[0] and _job(other, rules[other]) != job
            for one in some
        ]
        pooled = others or [_neediest(pairs[block]).logs]
        freedom = sum(len(one) - 1 for one in pooled)
        deviation = sqrt(sum((len(one) - 1) * stdev(one) ** 2 for one in pooled) / freedom)
        yield block, deviation, not others


def _neediest(pairs: list[Pair]) -> Pair:
    return max(pairs, key=lambda pair: stdev(pair.logs))


def _job(block: Block, rule: Rounds) -> Hashable:
    """Key of the blocks that are measured together: the tracks of a block with one rule."""
    return (rule, *(value for name, value in zip(BLOCK, block, strict=True) if name != "track"))


def _by_job(needs: Mapping[Block, Need], rules: Mapping[Block, Rounds]) -> dict[Hashable, Need]:
    """The largest need of the blocks that are measured together."""
    of_jobs: dict[Hashable, Need] = {}
    for block in sorted(needs, key=lambda block: needs[block].deviation):
        of_jobs[_job(block, rules[block])] = needs[block]
    return of_jobs


def spent(needs: Mapping[Hashable, Need], budget_s: float) -> dict[Hashable, int]:
    """The rounds of each block, so that those beyond `at_least` take `budget_s` seconds at most in all.

    Blocks that can be decided get what they need, those that take the least time first, while time is left. Then, round
    by round, the other blocks get one more, where it narrows the standard error most per second.
    """
    rounds = {block: need.at_least for block, need in needs.items()}
    left_s = budget_s
    for block in sorted(needs, key=lambda block: needs[block].cost_s):
        if needs[block].cost_s <= left_s:
            rounds[block] = needs[block].needed or rounds[block]
            left_s -= needs[block].cost_s
    while True:
        affordable = [
            block
            for block, need in needs.items()
            if rounds[block] < min(need.at_most, need.needed or need.at_most) and need.round_s <= left_s
        ]
        if not affordable:
            return rounds
        block = max(affordable, key=lambda block: needs[block].gain(rounds[block]))
        rounds[block] += 1
        left_s -= needs[block].round_s


def _pairs(runs: pd.DataFrame, question: tuple[str, ...] | None) -> Iterator[Pair]:
    """The pairs of a block's frameworks that have a say, or only the pair of the question."""
    speeds = runs[runs["status"] == "ok"].pivot(index="round", columns="framework", values="images_per_s")
    for framework, reference in combinations(speeds.columns, 2):
        ratios = (speeds[framework] / speeds[reference]).dropna().tolist()
        if len(ratios) > 1 and (question is None or {framework, reference} == set(question)):
            yield Pair(framework, reference, ratios)


def _to_width(pair: Pair, rule: Rounds, confidence: float) -> int:
    assert rule.ci_half_width, "another rule asks for no width"
    return rounds_needed(pair.logs, confidence, rule.ci_half_width, rule.at_least, rule.at_most)


def rules(config: Config) -> dict[Block, Rounds]:
    """The rule of each block that has one."""
    return {cell.block: one for cell, one in matrix.rounds(config).items() if one.has_rule}


def said(rows: list[dict], more: int) -> str:
    """The rows in one line for the person who waits."""
    line = f"precision: {more} more runs, up to round {max(row['rounds'] for row in rows)}"
    to_decide = [row for row in rows if "granted" in row]
    if not to_decide:
        return line
    # Tracks that are measured together have the same rounds.
    of_jobs = {tuple(row[name] for name in BLOCK if name != "track"): row for row in to_decide}
    minutes = sum((row["rounds"] - row["at_least"]) * (row["round_s"] or 0) for row in of_jobs.values()) / 60
    decided = sum(row["granted"] for row in to_decide)
    return f"{line}; about {minutes:.1f} min that decide {decided} of {len(to_decide)} blocks"


def main(arguments: list[str] | None = None) -> None:
    """Read the records of the first rounds, write the requested rounds, and report them in one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m framebench rounds", description=__doc__)
    parser.add_argument("--config", required=True, type=json.loads, help="the configuration as JSON")
    parser.add_argument("--output", required=True, type=Path, metavar="rounds.json")
    parser.add_argument("--planned", type=Path, metavar="planned.json", help="also write the list of records to make")
    options = parser.parse_args(arguments)
    config = load(options.config, "--config")
    try:
        paths = [Path(matrix.record_path(config.results, run)) for run in matrix.first_runs(config)]
        measurements = table([read_record(path) for path in paths])
        rows = asked(measurements, rules(config), config.confidence, Decision.of(config))
    except TableError as error:
        sys.exit(str(error))
    with files.whole(options.output, encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    if options.planned:
        matrix.write_planned(config, options.output, options.planned)
    more = len(matrix.runs(config, matrix.asked_rounds(options.output))) - len(matrix.runs(config))
    print(said(rows, more), file=sys.stderr)
