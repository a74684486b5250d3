"""The answer on one screen: a headline, a table of at most ten rows, four questions with a line each, and warnings.

The terminal and the first screen of the page show the same. Every statement about a difference follows from the
verdicts of comparisons.csv and effects.csv, which are adjusted for their number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from framebench.analyse import costs, selection
from framebench.analyse.comparisons import DECIDED, FASTER, MOST_ROUNDS, SAME, SLOWER, UNDECIDED
from framebench.analyse.effects import KEPT, NOT_SHOWN, TUNED, chosen
from framebench.answer import asked, flips, verdict
from framebench.answer.asked import Asked
from framebench.languages import Language, numbers
from framebench.record import BLOCK

MOST_ROWS = 10
TRACKS = ("default", "tuned")


@dataclass(frozen=True)
class Row:
    """A pair in a block. `ratio` (speed of the first ÷ speed of the second) and its interval are null if unknown."""

    name: str
    framework: str
    reference: str
    ratio: float | None
    low: float | None
    high: float | None
    numbers: tuple[str, str]  # ratio and interval as text, empty if there is none
    verdict: str  # row of comparisons.csv; empty if there is none
    winner: str | None  # framework
    says: str
    where: dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Rows of one device, track, precision and input; the title names these."""

    title: str
    rows: list[Row]


@dataclass(frozen=True)
class Note:
    title: str
    text: str


@dataclass(frozen=True)
class Screen:
    question: str
    headline: list[str]
    sides: list[str]  # the two of the question; empty if the screen has several pairs
    ratio: str  # names the numerator and the denominator
    interval: str  # heading of the intervals
    groups: list[Group]
    left_out: str  # number of rows that are left out
    notes: list[Note]
    warnings: list[str]


@dataclass(frozen=True)
class Made:
    """Everything a screen is made from: the tables by name, and the labels of their values."""

    measurements: pd.DataFrame
    comparisons: pd.DataFrame
    effects: pd.DataFrame
    article_batch_sizes: Mapping[str, int]
    language: Language
    labels: Mapping[str, str]  # framework → display name
    baseline: str
    question: Sequence[str] | None

    @property
    def confidence(self) -> float:
        told = self.comparisons["confidence"].dropna()
        return told.iloc[0] if len(told) else 0.95


def screen(made: Made) -> Screen:
    """The answer to the question; without a question, the answer for every framework against the baseline."""
    language = made.language
    everything = list(asked.asked(made.measurements, made.baseline, made.question))
    pairs = list(dict.fromkeys((one.framework, one.reference) for one in everything))
    full, made = made.labels, replace(made, labels=_in_short(made.labels, pairs))
    rows = [_row(one, made, several=len(pairs) > 1) for one in everything]
    kept = _most_telling(rows, made)
    devices = made.measurements["device"].unique()
    named = {device: selection.device_name(made.measurements, device) for device in devices}
    groups: dict[str, list[Row]] = {}
    for row in kept:
        title = [*([named[row.where["device"]]] if len(devices) > 1 else []), *_conditions(row, language)]
        groups.setdefault(": ".join([title[0], ", ".join(title[1:])]) if title[1:] else title[0], []).append(row)
    sides = ("framework", "reference")
    of_pair = {side: made.labels[name] for side, name in zip(sides, pairs[0], strict=True)} if len(pairs) == 1 else {}
    in_full = {side: full[name] for side, name in zip(sides, pairs[0], strict=True)} if of_pair else {}
    return Screen(
        question=language["screen_question" if of_pair else "screen_questions"].format(
            **in_full, device=", ".join(named.values())
        ),
        headline=[
            _headline(track, [row for row in rows if row.where["track"] == track], made)
            for track in TRACKS
            if any(row.where["track"] == track for row in rows)
        ],
        sides=list(of_pair.values()),
        ratio=language["screen_ratio"].format(**of_pair) if of_pair else language["screen_ratios"],
        interval=language["screen_interval"].format(confidence=100 * made.confidence),
        groups=[Group(title, some) for title, some in groups.items()],
        left_out=language["screen_left_out"].format(rows=len(rows) - len(kept)) if len(kept) < len(rows) else "",
        notes=[
            Note(language[f"screen_{name}"], text)
            for name, text in (
                ("flip", _flip(rows, made)),
                ("sure", _sure(rows, made)),
                ("what", _tuned(rows, made)),
                ("start", _start(rows, made)),
            )
            if text
        ],
        warnings=[one.text for one in verdict.warnings(made.measurements, made.comparisons, language)],
    )


def _in_short(labels: Mapping[str, str], pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The labels, without the part in brackets if a single pair stays distinct without it: Keras, PyTorch."""
    short = {name: label.partition(" (")[0] for name, label in labels.items()}
    names = {name for pair in pairs for name in pair}
    return dict(labels) | (short if len({short[name] for name in names}) == len(names) == 2 else {})


def _most_telling(rows: Sequence[Row], made: Made) -> list[Row]:
    """At most MOST_ROWS rows: all, or those at the article's batch sizes, or the first of them."""
    if len(rows) <= MOST_ROWS:
        return list(rows)
    at_size = selection.at_article_size(made.measurements, made.article_batch_sizes)
    blocks = set(at_size[BLOCK].itertuples(index=False, name=None))
    return [row for row in rows if tuple(row.where.values()) in blocks][:MOST_ROWS]


def _conditions(row: Row, language: Language) -> list[str]:
    """Track of a row in words, with precision and input if they are not the usual ones."""
    return [language[f"screen_{row.where['track']}"], *asked.conditions(row.where | {"track": "default"}, language)]


def _row(one: Asked, made: Made, *, several: bool) -> Row:
    """A row of the table; if the table has `several` pairs, the row's name includes the pair."""
    language, labels = made.language, made.labels
    found = one.row(made.comparisons)
    obstacle = asked.obstacle(one, found, language, labels)
    told = found is not None and not obstacle and pd.notna(found["ci_low"])
    where = {str(key): value for key, value in one.block.items()} | {"batch_size": int(one.block["batch_size"])}
    name = language["screen_cell"].format(
        workload=language.workload_in_short(one.block["workload"]), batch_size=one.block["batch_size"]
    )
    if several:
        pair = language["pair"].format(framework=labels[one.framework], reference=labels[one.reference])
        name = f"{name}, {pair}"
    if found is None or not told:
        few = language["screen_few_rounds"].format(rounds=0 if found is None else found["rounds"])
        reason = f"{language['not_comparable']}: {obstacle}" if obstacle else few
        return Row(name, one.framework, one.reference, None, None, None, ("", ""), "", None, reason, where)
    ratio, low, high = found["ratio"], found["ci_low"], found["ci_high"]
    winner = {FASTER: one.framework, SLOWER: one.reference}.get(found["verdict"])
    return Row(
        *(name, one.framework, one.reference, ratio, low, high),
        numbers=(numbers.ratio(ratio), numbers.interval(low, high)),
        verdict=found["verdict"],
        winner=winner,
        says=_says(found, winner, made),
        where=where,
    )


def _says(found: Mapping[str, Any], winner: str | None, made: Made) -> str:
    """A verdict in a few words; an undecided one adds the difference that these rounds find, and the rounds needed."""
    language, level = made.language, 1 - found["confidence"]
    within = f"{100 * found['same_within']:g}"
    if winner:
        small = found["p_same_adjusted"] < level
        key = "screen_faster_within" if small else "screen_faster"
        return language[key].format(framework=made.labels[winner], within=within)
    if found["verdict"] == SAME:
        return language["screen_same"].format(within=within)
    finds = language["screen_finds"].format(difference=_percent(found["finds"]))
    if pd.isna(found["rounds_to_decide"]):
        return language["screen_undecidable"].format(finds=finds, most=MOST_ROUNDS)
    values = {"finds": finds, "rounds": found["rounds_to_decide"]}
    if pd.isna(found["minutes_to_decide"]):
        return language["screen_undecided"].format(**values)
    return language["screen_undecided_in"].format(**values, minutes=_minutes(found["minutes_to_decide"]))


def _percent(share: float) -> str:
    """A share in percent, to two digits: 0.8, 4.1, 36, 120; one that is no use to know is >1,000."""
    percent = 100 * share
    return ">1,000" if percent > 1000 else f"{percent:,.0f}" if percent >= 9.95 else f"{percent:.1f}"


def _minutes(minutes: float) -> str:
    return f"{minutes:.1f}" if minutes < 9.5 else f"{minutes:,.0f}"


def _headline(track: str, rows: Sequence[Row], made: Made) -> str:
    """A sentence on all rows of a track, one clause per pair."""
    pairs = dict.fromkeys((row.framework, row.reference) for row in rows)
    clauses = [_clause(pair, [row for row in rows if (row.framework, row.reference) == pair], made) for pair in pairs]
    return made.language[f"headline_{track}"].format(clauses="; ".join(clauses))


def _clause(pair: tuple[str, str], rows: Sequence[Row], made: Made) -> str:
    """The headline's clause on all rows of one pair."""
    language = made.language
    first, second = (made.labels[name] for name in pair)
    compared = [row for row in rows if row.verdict in (*DECIDED, UNDECIDED)]
    won = {name: [row for row in compared if row.winner == name] for name in pair}
    winners = [name for name in pair if won[name]]
    if not compared:
        return language["headline_none"].format(framework=first, reference=second)
    if not winners:
        key = "headline_same" if all(row.verdict == SAME for row in compared) else "headline_nothing"
        return language[key].format(framework=first, reference=second)
    if len(winners) == 2:
        numbers_won = dict(zip(("number", "other"), (len(won[name]) for name in pair), strict=True))
        return language["headline_both"].format(framework=first, reference=second, all=len(compared), **numbers_won)
    (winner,) = winners
    loser = pair[winner == pair[0]]
    values = {"framework": made.labels[winner], "reference": made.labels[loser]}
    if len(won[winner]) < len(compared):
        return language["headline_some"].format(**values, number=len(won[winner]), all=len(compared))
    times = sorted(row.ratio if winner == row.framework else 1 / row.ratio for row in compared if row.ratio)
    said = list(dict.fromkeys(map(numbers.ratio, (times[0], times[-1]))))
    return language["headline_all"].format(**values, times="–".join(said))


def _flip(rows: Sequence[Row], made: Made) -> str:
    """The answer to "Does it flip?": flips with the batch size, or with the settings."""
    language, found, sizes = made.language, [], set()
    for pair in flips.pairs(
        made.comparisons, list(made.measurements["framework"].unique()), made.baseline, made.question
    ):
        sizes |= {row["batch_size"] for row in pair.rows} if len(pair.rows) > 1 else set()
        found += [
            language["screen_turns"].format(
                workload=language.workload_in_short(pair.panel["workload"]),
                conditions="".join(f", {one}" for one in asked.conditions(pair.panel, language)),
                after=turn.after,
                before=turn.before,
                framework=made.labels[turn.winner],
            )
            for turn in pair.turns
        ]
    winners: dict[tuple, dict[str, Row]] = {}
    for row in rows:
        alike = tuple(value for key, value in row.where.items() if key != "track")
        if row.winner:
            winners.setdefault((row.framework, row.reference, *alike), {})[row.where["track"]] = row
    found += [
        language["screen_turns_tuned"].format(cell=by["tuned"].name, framework=made.labels[by["tuned"].winner or ""])
        for by in winners.values()
        if {"default", "tuned"} <= set(by) and by["default"].winner != by["tuned"].winner
    ]
    if found:
        return " ".join(found)
    if sizes:
        return language["screen_no_turn"].format(least=min(sizes), most=max(sizes))
    return language["screen_one_size"]


def _sure(rows: Sequence[Row], made: Made) -> str:
    """The answer to "How sure?": the differences that these rounds find, and the rounds that would decide the rest."""
    language = made.language
    told = {(*row.where.values(), row.framework, row.reference) for row in rows if row.verdict}
    found = made.comparisons
    keys = found[[*BLOCK, "framework", "reference"]].itertuples(index=False, name=None)
    found = found[[key in told for key in keys]]
    if found.empty:
        return language["screen_nothing_compared"]
    least, most = (_percent(share) for share in (found["finds"].min(), found["finds"].max()))
    said = [language["screen_finds_one" if least == most else "screen_finds_all"].format(least=least, most=most)]
    undecided = found[found["verdict"] == UNDECIDED]
    decidable = undecided["rounds_to_decide"].dropna()
    if len(undecided) and decidable.empty:
        said.append(language["screen_decide_none"].format(most=MOST_ROUNDS))
    elif len(undecided):
        values = {"decidable": len(decidable), "undecided": len(undecided), "rounds": decidable.max()}
        said.append(language["screen_decide"].format(**values))
        minutes = undecided["minutes_to_decide"].sum(min_count=1)  # older records do not tell what a round takes
        if pd.notna(minutes):
            said.append(language["screen_minutes"].format(minutes=_minutes(minutes)))
    return " ".join(said)


def _tuned(rows: Sequence[Row], made: Made) -> str:
    """The tuned settings of each framework of the question, with their gain where one is shown."""
    language, said = made.language, []
    tuned = [row for row in rows if row.where["track"] == "tuned"]
    for workload in dict.fromkeys(row.where["workload"] for row in tuned):
        of_workload = [row for row in tuned if row.where["workload"] == workload]
        names = dict.fromkeys(name for row in of_workload for name in (row.framework, row.reference))
        clauses = [_settings(name, of_workload[0].where, made) for name in names]
        title = language.workload_in_short(workload) + ": " if len({row.where["workload"] for row in tuned}) > 1 else ""
        said.append(title + " ".join(clauses))
    return " ".join(said) or language["screen_not_tuned"]


def _settings(framework: str, where: Mapping[str, Any], made: Made) -> str:
    """The settings chosen for a framework in a block, with their gain where one is shown."""
    language = made.language
    runs = made.measurements[(made.measurements[BLOCK] == pd.Series(where)[BLOCK]).all(axis=1)]
    settings = chosen(runs[runs["framework"] == framework])
    values = {"framework": made.labels[framework]}
    if settings is None:
        return language["screen_settings_unknown"].format(**values)
    if not settings:
        return language["screen_settings_kept"].format(**values)
    values["settings"] = ", ".join(language.setting_in_short(name).format(value=one) for name, one in settings.items())
    alike = [key for key in BLOCK if key != "track"]
    rows = made.effects[(made.effects[alike] == pd.Series(where)[alike]).all(axis=1)]
    rows = rows[(rows["effect"] == TUNED) & (rows["framework"] == framework)]
    if rows.empty or rows.iloc[0]["verdict"] in (NOT_SHOWN, KEPT):
        return language["screen_settings"].format(**values)
    return language["screen_settings_gain"].format(**values, ratio=numbers.ratio(rows.iloc[0]["ratio"]))


def _start(rows: Sequence[Row], made: Made) -> str:
    """Start and memory of both frameworks, in the first row that has them."""
    language = made.language
    for row in rows:
        runs = made.measurements[(made.measurements[BLOCK] == pd.Series(row.where)[BLOCK]).all(axis=1)]
        runs = runs[runs["status"] == "ok"]
        sides = [runs[runs["framework"] == name] for name in (row.framework, row.reference)]
        starts, memories = ([of(side).median() for side in sides] for of in (costs.start_s, costs.memory_mib))
        if not any(map(pd.isna, [*starts, *memories])):
            first, second = made.labels[row.framework], made.labels[row.reference]
            values = {"framework": first, "reference": second, "cell": row.name}
            values |= {"start": f"{starts[0]:.1f}", "other_start": f"{starts[1]:.1f}"}
            values |= {"memory": f"{memories[0]:,.0f}", "other_memory": f"{memories[1]:,.0f}"}
            return language["screen_starts"].format(**values)
    return ""
