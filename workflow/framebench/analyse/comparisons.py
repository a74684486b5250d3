"""Compares every two frameworks of every block."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import stdev
from typing import Any, TypeVar

import pandas as pd

from framebench.analyse import machines
from framebench.analyse.learning import learned_less
from framebench.analyse.statistics import (
    METHOD,
    MIN_ROUNDS,
    Estimate,
    family,
    geometric_mean_interval,
    p_value,
    rounds_to_decide,
    same_p_value,
    smallest_difference,
)
from framebench.analyse.table import TableError, one_line
from framebench.analyse.tables import Table
from framebench.certificate import held_together
from framebench.frameworks import self_comparison
from framebench.record import BLOCK, CELL_DTYPES

COLUMNS = CELL_DTYPES | {
    "reference": "str",
    "ratio": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "confidence": "float64",
    "rounds": "Int64",
    "method": "str",
    "same_within": "float64",
    "family": "str",
    "p": "float64",
    "p_adjusted": "float64",
    "p_same": "float64",
    "p_same_adjusted": "float64",
    "verdict": "str",
    "rounds_to_decide": "Int64",
    "minutes_to_decide": "float64",
    "finds": "float64",
}
QUESTION, PAGE = "question", "page"  # the families of pairs whose verdicts are adjusted together
FASTER, SLOWER, SAME, UNDECIDED = "faster", "slower", "same", "undecided"
DECIDED = (FASTER, SLOWER, SAME)
MOST_ROUNDS = 1000  # more rounds than this are not reported as needed


NOT_COMPARABLE = "not comparable: "  # beginning of a verdict, before the reason
PLACE = ["device_uuid", "slurm_node"]  # place of a run: its card, or if it has none, its node
ACROSS = ", across cards in "  # beginning of a method, before the number of rounds

Certified = tuple[str, str, str, str]  # device, workload, framework and track
Number = TypeVar("Number", float, pd.Series)
FirstRounds = Mapping[tuple, int]  # by block: the number of first rounds whose spread set the total


def comparisons(
    measurements: pd.DataFrame,
    confidence: float,
    same_within: Mapping[str, float],
    uncertified: Mapping[Certified, str] | None = None,
    *,
    first_rounds: FirstRounds | None = None,
    across_cards: bool = False,
    question: Sequence[str] | None = None,
) -> pd.DataFrame:
    """One row of COLUMNS per block and ordered pair of frameworks in it, from a table of measurements.

    `ratio` is the geometric mean, over the `rounds` in which both have a run that is ok, of the framework's
    images per second divided by the reference's; `ci_low` and `ci_high` bound it at level `confidence`, and `p` is
    the two-sided p-value of a true ratio of 1, `p_same` that of one beyond the margin: `same_within` has it by the kind
    of device, `cpu` or `gpu`. They are null where there are too few rounds to compute them from; then `verdict` says
    why. The opposite pair has the inverse of the same numbers. A pair of which a framework is
    among the `uncertified` is not comparable for the reason given there; its ratio is computed all the same. Nor is a
    pair of which a round was measured on two cards, or on two nodes of a cluster where it has none; with `across_cards`
    it is, and `method` says in how many rounds.

    `p_adjusted` and `p_same_adjusted` are `p` and `p_same` adjusted together (see `statistics.family`) for the
    comparable pairs of their `family`, each counted once and not once per direction: QUESTION has the pair that the
    `question` names, in every block, and PAGE all others. The verdict is FASTER or SLOWER where `p_adjusted` is below
    1 - confidence, also where the difference is shown to lie within the margin, since the direction says more; else
    SAME where `p_same_adjusted` is; else UNDECIDED, and `rounds_to_decide` are those that would decide the pair by the
    spread of its rounds, in a family of that size: null above MOST_ROUNDS; `minutes_to_decide` is what those beyond the
    `rounds` take, as long as the block's newest one. `finds` is the smallest difference, as a share, that the `rounds`
    show with a power of 80 % at this spread, also in a family of that size. An interval, which is that of one pair
    alone, may exclude 1 without a claim.
    Raises ValueError where a run that is ok has no positive speed, and for a margin that is not positive.
    """
    compared = []
    for block, runs in measurements.groupby(BLOCK):
        first = (first_rounds or {}).get(block)
        margin = same_within["gpu" if runs["device_uuid"].notna().any() else "cpu"]
        for names, side, other in pairs(runs):
            ratios = paired_ratios(side, other)
            obstacle = why_not_paired(side, other, len(ratios)) or _first_uncertified(
                runs.iloc[0], names, uncertified or {}
            )
            apart = rounds_apart(side, other)
            if apart and not across_cards:
                obstacle = obstacle or _on_two_cards(side, other, apart[0])
            shared = {
                **dict(zip(BLOCK, block, strict=True)),
                "confidence": confidence,
                "rounds": len(ratios),
                "method": method(ratios, first) + across(apart, len(ratios)),
                "same_within": margin,
                "family": QUESTION if set(names) == set(question or ()) else PAGE,
                "p": p_value(ratios, first) if ratios else None,
                "p_same": same_p_value(ratios, margin, first) if ratios else None,
            }
            seconds = round_seconds(runs)
            found = estimate(ratios, confidence, first)
            compared.append(_Pair(names, ratios, found, obstacle, seconds, shared))
    for name in (QUESTION, PAGE):
        _adjust([pair for pair in compared if pair.shared["family"] == name and not pair.obstacle])
    rows = [row for pair in compared for row in _both_ways(pair)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values([*CELL_DTYPES, "reference"], ignore_index=True)


@dataclass(frozen=True)
class _Pair:
    """Two frameworks in a block; `shared` are the columns that both of their rows have in common."""

    names: tuple[str, str]
    ratios: Sequence[float]
    found: Estimate
    obstacle: str
    round_s: float  # of the block's newest round
    shared: dict[str, Any]


def _adjust(comparable: Sequence[_Pair]) -> None:
    """Add to the pairs of one family the columns that depend on their number."""
    differences, samenesses = family(*([pair.shared[p] for pair in comparable] for p in ("p", "p_same")))
    for pair, difference, sameness in zip(comparable, differences, samenesses, strict=True):
        pair.shared.update(p_adjusted=difference, p_same_adjusted=sameness)
        level, rounds, spread = 1 - pair.shared["confidence"], len(pair.ratios), stdev(map(math.log, pair.ratios))
        pair.shared["finds"] = smallest_difference(rounds, spread, 1 - level / len(comparable))
        if min(difference, sameness) >= level and rounds < MOST_ROUNDS:
            limits = {"at_least": rounds + 1, "at_most": MOST_ROUNDS}
            needed = rounds_to_decide(spread, 1 - level, pair.shared["same_within"], len(comparable), **limits)
            if needed is not None:
                minutes = (needed - rounds) * pair.round_s / 60
                pair.shared.update(rounds_to_decide=needed, minutes_to_decide=minutes)


def _both_ways(pair: _Pair) -> Iterator[dict[str, Any]]:
    """The row of a pair and that of the opposite pair."""
    for (framework, reference), one in [(pair.names, pair.found), (pair.names[::-1], _inverse(pair.found))]:
        yield pair.shared | {
            "framework": framework,
            "reference": reference,
            "ratio": one.mean,
            "ci_low": one.low,
            "ci_high": one.high,
            "verdict": NOT_COMPARABLE + pair.obstacle if pair.obstacle else _verdict(one.mean, pair.shared),
        }


def round_seconds(runs: pd.DataFrame) -> float:
    """The wall time in s of the newest round among a block's runs, since the first round includes the diagnosis."""
    return float(runs.sort_values("round")["round_s"].iloc[-1])


def pairs(runs: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame, pd.DataFrame]]:
    """Every two frameworks of a block, once: their names in order, and the runs of each.

    If a framework is compared with itself (see `self_comparison`), its sides are compared only with each other.
    """
    of = {str(framework): some for framework, some in runs.groupby("framework")}
    against_itself = any(map(self_comparison.side, of))
    for first, second in combinations(of, 2):
        if not against_itself or self_comparison.base(second) == first:
            yield (first, second), of[first], of[second]


def paired_ratios(side: pd.DataFrame, other: pd.DataFrame) -> list[float]:
    """Images per second of these runs divided by those of the others, for every round in which both are ok, in
    order."""
    pairs = _paired(side, other)
    return (pairs["images_per_s_x"] / pairs["images_per_s_y"]).tolist()


def rounds_apart(side: pd.DataFrame, other: pd.DataFrame) -> list[int]:
    """The rounds among these whose two runs were measured on two cards, or on two nodes if they have no card."""
    pairs = _paired(side, other)
    card, node = PLACE
    places = [pairs[f"{card}_{one}"].fillna(pairs[f"{node}_{one}"]).fillna("") for one in "xy"]
    return pairs.loc[places[0] != places[1], "round"].tolist()


def across(apart: Sequence[int], rounds: int) -> str:
    """The remark for `method` on rounds that were measured on two cards; empty if there are none."""
    return f"{ACROSS}{len(apart)} of {rounds} rounds" if apart else ""


def _paired(side: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    # Only the needed columns: to merge all of a hundred columns takes most of the time of an analysis.
    ok = [runs.loc[runs["status"] == "ok", ["round", "images_per_s", *PLACE]] for runs in (side, other)]
    return ok[0].merge(ok[1], on="round").sort_values("round")


def _on_two_cards(side: pd.DataFrame, other: pd.DataFrame, number: int) -> str:
    places = []
    for runs in (side, other):
        run = runs[runs["round"] == number].iloc[0]
        places.append(
            f"{run['framework']} on {run['slurm_node'] if pd.isna(run['device_uuid']) else run['device_uuid']}"
        )
    return f"round {number} was measured on two devices, {' and '.join(places)} (across_cards in config.yaml allows it)"


def estimate(ratios: Sequence[float], confidence: float, first: int | None) -> Estimate:
    """The geometric mean of the ratios and its interval; neither if there are no ratios."""
    return geometric_mean_interval(ratios, confidence, first) if ratios else Estimate(math.nan, None, None, 0)


def method(ratios: Sequence[float], first: int | None) -> str:
    """Name of the method by which `estimate` makes the interval of these ratios."""
    if first is None or len(ratios) <= first:
        return METHOD
    return f"{METHOD}, no narrower than by the spread of the first {first}"


def _inverse(estimate: Estimate) -> Estimate:
    """The estimate of the inverse ratio, taken from this one so that two opposite rows never disagree."""
    if estimate.low is None or estimate.high is None:
        return Estimate(1 / estimate.mean, None, None, estimate.n)
    return Estimate(1 / estimate.mean, 1 / estimate.high, 1 / estimate.low, estimate.n)


def why_not_paired(side: pd.DataFrame, other: pd.DataFrame, rounds: int) -> str:
    """Why the runs of two sides cannot be compared round by round; empty if they can."""
    failures = []
    for runs in (side, other):
        if not (runs["status"] == "ok").any():
            first = runs.sort_values("round").iloc[0]
            reason = "" if pd.isna(first["reason"]) else f": {one_line(first['reason'], 120)}"
            failures.append(f"{first['framework']} {first['status'].replace('_', ' ')}{reason}")
    if failures:
        return "; ".join(failures)
    if rounds < MIN_ROUNDS:
        return f"only {rounds} {'round' if rounds == 1 else 'rounds'}, an interval needs {MIN_ROUNDS}"
    return learned_less(side, other)


def uncertified(measurements: pd.DataFrame, certificates: Iterable[dict]) -> dict[Certified, str]:
    """The reason of each framework, workload and track measured without a valid certificate.

    A certificate is valid for the runs that carry its id, which have the same model files and environment; if it names
    a `machine`, only for runs of that machine. A framework under another name (see `self_comparison`) uses the
    framework's certificate.
    """
    known: dict[tuple[str, str, str], list[dict]] = {}
    for one in held_together(certificates):
        known.setdefault((one.get("machine", ""), one["workload"], one["framework"]), []).append(one)
    reasons: dict[Certified, str] = {}
    ok = measurements[measurements["status"] == "ok"]
    for key, runs in ok.groupby(["device", "workload", "framework", "track"]):
        device, workload, framework, track = map(str, key)
        made = known.get((machines.machine(device), workload, self_comparison.base(framework)), [])
        carried = set(runs["certificate"])
        refusals = [refusal(one, track) for one in made if len(made) == 1 or one["id"] in carried]
        if not made:
            reasons[device, workload, framework, track] = "none was made"
        elif refused := next(filter(None, refusals), None):
            reasons[device, workload, framework, track] = one_line(refused, 160)
        elif carried - {one["id"] for one in made}:
            reasons[device, workload, framework, track] = (
                "its model files or environment changed since they were measured"
            )
    return reasons


def refusal(certificate: dict, track: str) -> str | None:
    """Why a certificate does not hold for a track; None if it does."""
    if track not in certificate.get("tracks", (track,)):
        return f"track {track} was not proved"
    return certificate["tuned_reason" if track == "tuned" else "reason"]


def _first_uncertified(block: pd.Series, frameworks: Iterable[str], reasons: Mapping[Certified, str]) -> str:
    for framework in frameworks:
        if reason := reasons.get((block["device"], block["workload"], framework, block["track"])):
            return f"{framework} has no valid certificate for {block['workload']} ({reason})"
    return ""


def first_rounds(rows: Iterable[Mapping]) -> dict[tuple, int]:
    """The FirstRounds in the rows of rounds.json. Raises TableError if a row has none.

    A block whose number of rounds follows only from the spread of others has no FirstRounds: its own spread did not
    count.
    """
    try:
        return {tuple(row[key] for key in BLOCK): row["at_least"] for row in rows if row["own_spread"]}
    except (KeyError, TypeError) as error:
        raise TableError(f"rounds.json: the number of first rounds is missing: {error!r}: make it again") from error


def _verdict(ratio: float, shared: Mapping[str, Any]) -> str:
    level = 1 - shared["confidence"]
    if shared["p_adjusted"] < level:
        return FASTER if ratio > 1 else SLOWER
    return SAME if shared["p_same_adjusted"] < level else UNDECIDED


def _of_campaign(
    measurements: pd.DataFrame,
    certificates: list[dict],
    rounds: list[dict],
    *,
    confidence: float,
    same_within: Mapping[str, float],
    across_cards: bool,
    question: Sequence[str] | None,
) -> pd.DataFrame:
    """Compare every two frameworks of every block."""
    return comparisons(
        measurements,
        confidence,
        same_within,
        uncertified(measurements, certificates),
        first_rounds=first_rounds(rounds),
        across_cards=across_cards,
        question=question,
    )


def half_width(low: Number, high: Number) -> Number:
    """Half the width of a ratio's interval as a share of the ratio, on the log scale: 0.02 for 0.98 to 1.02."""
    return (high / low) ** 0.5 - 1


TABLE = Table("comparisons", _of_campaign, keys=BLOCK)
