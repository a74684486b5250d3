"""Number of rounds by a rule: from the neediest pair of a block, once, from the rounds that were ok."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.analyse import rounds_needed as module
from framebench.analyse.comparisons import half_width
from framebench.analyse.rounds_needed import Decision, Need, main, spent
from framebench.analyse.statistics import geometric_mean_interval, rounds_needed, rounds_to_decide
from framebench.analyse.table import table
from framebench.plan import catalogue, config, matrix
from framebench.plan.config import Rounds
from framebench.record import BLOCK, write
from runs import run, runs

pytestmark = pytest.mark.check

WRITTEN = {"at_least": 5, "at_most": 20, "ci_half_width": 0.05}
RULE = Rounds(**WRITTEN)
KERAS = "keras-tensorflow"


DECISION = Decision(question=None, margins={"cpu": 0.1}, comparisons=1, budget_s=600.0)
UNTIL_DECIDED = Rounds(at_least=3, at_most=50, until="decided")


def asked(measurements, rules, confidence, decision=DECISION):
    return module.asked(measurements, rules, confidence, decision)


def block(**changes) -> tuple:
    return tuple(run("pytorch", 1, 1.0, **changes)[name] for name in BLOCK)


def noisy(spread: float, seed: int = 1) -> list[float]:
    return (100 * np.exp(spread * np.random.default_rng(seed).standard_normal(5))).tolist()


def test_the_neediest_pair_decides_and_is_named():
    steady, wild = noisy(0.01, 1), noisy(0.06, 2)
    speeds = {"pytorch": steady, "tensorflow": [50.0] * 5, KERAS: wild}
    (row,) = asked(table(runs(**speeds)), {block(): dataclasses.replace(RULE, at_most=1000)}, 0.95)
    ratios = [one / other for one, other in zip(wild, steady, strict=True)]
    others = [one / 50 for one in wild]
    needed = {
        pair: rounds_needed([math.log(ratio) for ratio in of_pair], 0.95, 0.05, 5, 1000)
        for pair, of_pair in ((("pytorch", KERAS), ratios), (("tensorflow", KERAS), others))
    }
    assert 5 < row["rounds"] == max(needed.values())
    assert row["framework"] == KERAS
    assert row["reference"] == max(needed, key=needed.__getitem__)[0]
    assert row["ci_half_width"] == 0.05
    interval = geometric_mean_interval(ratios if row["reference"] == "pytorch" else others, 0.95)
    assert row["half_width"] == pytest.approx(interval.high / interval.mean - 1)


@settings(max_examples=50)
@given(st.lists(st.floats(0.1, 10), min_size=5, max_size=5), st.floats(0.01, 0.5))
def test_no_block_gets_fewer_rounds_than_its_least_nor_more_than_its_most(speeds, width):
    rule = dataclasses.replace(RULE, ci_half_width=width)
    (row,) = asked(table(runs(pytorch=speeds, tensorflow=[1.0] * 5)), {block(): rule}, 0.95)
    assert 5 <= row["rounds"] <= 20


def test_blocks_are_asked_apart_and_those_without_a_rule_not_at_all():
    wild = noisy(0.3)
    records = [
        *runs(pytorch=wild, tensorflow=[50.0] * 5),
        *runs({"batch_size": 64}, pytorch=[100.0] * 5, tensorflow=[50.0] * 5),
        *runs({"batch_size": 128}, pytorch=wild, tensorflow=[50.0] * 5),
    ]
    rows = asked(table(records), {block(): RULE, block(batch_size=64): RULE}, 0.95)
    assert [(row["batch_size"], row["rounds"]) for row in rows] == [(32, 20), (64, 5)]


def test_a_failed_run_takes_only_its_round_from_the_pair():
    speeds = noisy(0.1)
    without = [math.log(speed / 50) for speed in speeds[1:]]
    (row,) = asked(table(runs(pytorch=[None, *speeds[1:]], tensorflow=[50.0] * 5)), {block(): RULE}, 0.95)
    assert row["rounds"] == rounds_needed(without, 0.95, 0.05, 5, 20)


@pytest.mark.parametrize(
    "speeds",
    [
        {"pytorch": [100.0, None, None, None, None], "tensorflow": [50.0] * 5},
        {"pytorch": [None] * 5, "tensorflow": [50.0] * 5},
        {"pytorch": [None] * 5, "tensorflow": [None] * 5},
        {"pytorch": [100.0, 300.0, 50.0, 100.0, 100.0]},
    ],
    ids=["one round in common", "one framework never ran", "none ran", "one framework"],
)
def test_where_no_pair_has_two_rounds_no_more_are_measured(speeds):
    (row,) = asked(table(runs(**speeds)), {block(): RULE}, 0.95)
    assert row["rounds"] == 5
    assert row["framework"] is row["reference"] is row["half_width"] is None


def test_a_framework_that_never_ran_does_not_speak_for_the_others():
    speeds = {"pytorch": noisy(0.3), "tensorflow": [50.0] * 5, KERAS: [None] * 5}
    (row,) = asked(table(runs(**speeds)), {block(): RULE}, 0.95)
    assert (row["rounds"], {row["framework"], row["reference"]}) == (20, {"pytorch", "tensorflow"})


def spreading(spread: float, seed: int, rounds: int = 3, seconds: float = 10.0, **cell) -> list[dict]:
    """Runs of two frameworks whose log ratio spreads by so much, each of `seconds`."""
    ratios = np.exp(spread * np.random.default_rng(seed).standard_normal(rounds))
    return runs({"round_s": seconds, **cell}, pytorch=(100 * ratios).tolist(), **{KERAS: [100.0] * rounds})


def test_a_round_of_a_block_takes_as_long_as_its_newest_one_did():
    """All runs of a round share its seconds, and the first round has its diagnosis too."""
    records = spreading(0.1, 1, rounds=3, seconds=8.0)
    for one in records:
        one["round_s"] = {1: 90.0, 2: 9.0, 3: 8.0}[one["round"]]
    assert module.round_seconds(table(records)) == 8.0
    assert module.round_seconds(table(records[::-1])) == 8.0


def test_a_block_gets_the_rounds_that_decide_it_by_the_spread_of_the_others():
    records = [*spreading(0.02, 1), *spreading(0.04, 2, batch_size=64), *spreading(0.06, 3, batch_size=128)]
    blocks = [block(), block(batch_size=64), block(batch_size=128)]
    rows = asked(table(records), dict.fromkeys(blocks, UNTIL_DECIDED), 0.95)
    speeds = [one["images_per_s"] for one in records if one["framework"] == "pytorch"]
    variances = [np.var(np.log(speeds[i : i + 3]), ddof=1) for i in (0, 3, 6)]
    for i, row in enumerate(rows):
        others = math.sqrt((sum(variances) - variances[i]) / 2)
        assert row["needed"] == rounds_to_decide(others, 0.95, 0.1, 1, at_least=3, at_most=1000)
        assert (row["round_s"], row["ci_half_width"], row["own_spread"]) == (10.0, 0.1, False)


def test_a_block_s_own_spread_has_no_say_where_there_are_others_and_the_only_say_where_there_are_none():
    def asked_of(*spreads):
        records = [one for i, spread in enumerate(spreads) for one in spreading(spread, i, batch_size=32 * (i + 1))]
        blocks = [block(batch_size=32 * (i + 1)) for i in range(len(spreads))]
        return asked(table(records), dict.fromkeys(blocks, UNTIL_DECIDED), 0.95)

    assert asked_of(0.01, 0.03)[0]["needed"] == asked_of(0.09, 0.03)[0]["needed"]
    assert asked_of(0.01, 0.03)[1]["needed"] < asked_of(0.09, 0.03)[1]["needed"]
    (alone,), (wild,) = asked_of(0.01), asked_of(0.09)
    assert alone["own_spread"] and alone["needed"] < wild["needed"]


def test_tracks_of_one_job_get_the_same_rounds_and_are_no_others_to_each_other():
    records = [*spreading(0.001, 1), *spreading(0.08, 2, track="tuned"), *spreading(0.02, 3, batch_size=64)]
    blocks = [block(), block(track="tuned"), block(batch_size=64)]
    default, tuned, _ = asked(table(records), dict.fromkeys(blocks, UNTIL_DECIDED), 0.95)
    assert default["rounds"] == tuned["rounds"]
    assert default["needed"] == tuned["needed"]


def test_only_the_pair_of_the_question_has_a_say():
    records = [*spreading(0.001, 1), *runs({"round_s": 1.0}, tensorflow=[50.0, 90.0, 200.0])]
    question = dataclasses.replace(DECISION, question=("pytorch", KERAS))
    (row,) = asked(table(records), {block(): UNTIL_DECIDED}, 0.95, question)
    assert (row["rounds"], {row["framework"], row["reference"]}) == (3, {"pytorch", KERAS})
    (row,) = asked(table(records), {block(): UNTIL_DECIDED}, 0.95)
    assert row["rounds"] > 3 and "tensorflow" in (row["framework"], row["reference"])


def test_where_no_pair_has_two_rounds_nothing_is_spent():
    records = runs({"round_s": 1.0}, pytorch=[1.0, None, None], tensorflow=[1.0, 2.0, 3.0])
    (row,) = asked(table(records), {block(): UNTIL_DECIDED}, 0.95)
    assert (row["rounds"], row["needed"], row["round_s"], row["granted"]) == (3, None, None, False)


@settings(max_examples=30)
@given(st.floats(0.01, 100), st.integers(0, 10**6), st.integers(3, 8))
def test_the_speed_of_one_side_changes_nothing(factor, seed, at_least):
    rule = dataclasses.replace(UNTIL_DECIDED, at_least=at_least)
    records = [*spreading(0.05, seed, at_least), *spreading(0.1, seed + 1, at_least, seconds=7.0, batch_size=64)]
    faster = [
        one | {"images_per_s": one["images_per_s"] * factor} if one["framework"] == "pytorch" else one
        for one in records
    ]
    rules = {block(): rule, block(batch_size=64): rule}
    some, others = (
        [{name: row[name] for name in ("rounds", "needed", "granted")} for row in asked(table(of), rules, 0.95)]
        for of in (records, faster)
    )
    assert some == others


needs = st.builds(
    Need,
    at_least=st.just(3),
    at_most=st.integers(3, 30),
    needed=st.none() | st.integers(3, 100),
    deviation=st.floats(0, 0.5),
    round_s=st.floats(1, 100),
)


@given(st.lists(needs, max_size=6), st.floats(1, 2000))
def test_the_budget_and_the_limits_are_kept_and_used_up(some, budget_s):
    of_block = {(i,): need for i, need in enumerate(some)}
    rounds = spent(of_block, budget_s)
    taken_s = sum((rounds[block] - need.at_least) * need.round_s for block, need in of_block.items())
    assert taken_s <= budget_s * (1 + 1e-9)
    for block, need in of_block.items():
        most = min(need.at_most, need.needed or need.at_most)
        assert need.at_least <= rounds[block] <= most
        assert rounds[block] == most or need.round_s > budget_s - taken_s - 1e-6


def test_the_block_that_is_decided_in_the_least_time_comes_first():
    cheap, dear = Need(3, 50, 13, 0.1, 5.0), Need(3, 50, 8, 0.1, 20.0)
    assert spent({("dear",): dear, ("cheap",): cheap}, 200.0) == {("dear",): 8, ("cheap",): 13}
    assert spent({("dear",): dear, ("cheap",): cheap}, 50.0) == {("dear",): 3, ("cheap",): 13}


def test_the_rest_of_the_budget_goes_where_a_round_narrows_most_per_second():
    quiet, wild = Need(3, 50, None, 0.1, 10.0), Need(3, 50, None, 0.2, 10.0)
    slow = Need(3, 50, None, 0.2, 40.0)
    assert spent({("quiet",): quiet, ("wild",): wild, ("slow",): slow}, 10.0) == {
        ("quiet",): 3,
        ("wild",): 4,
        ("slow",): 3,
    }


def test_half_the_width_is_a_share_of_the_ratio():
    assert half_width(2 / 1.02, 2 * 1.02) == pytest.approx(0.02)


def test_the_command_reads_the_first_rounds_only_and_the_plan_follows_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(catalogue.ROOT)
    written = config.readable("config.yaml")
    entry = written["matrix"][0] | {"batch_sizes": [32, 128]}
    written |= {
        "results": str(tmp_path),
        "frameworks": ["tensorflow", "pytorch"],
        "question": None,
        "matrix": [
            entry | {"rounds": WRITTEN},
            entry | {"inputs": ["host"], "rounds": 2},
        ],
    }
    loaded = config.load(written, "a test")
    wild = noisy(0.3)
    for one in matrix.first_runs(loaded):
        noise = wild[one.round - 1] if (one.cell.framework, one.cell.batch_size) == ("pytorch", 128) else 100.0
        values = {"batch_size": one.cell.batch_size, "order": 1}
        record = run(one.cell.framework, one.round, noise, **values)
        write(tmp_path / matrix.record_path(".", one), record)
    main(["--config", json.dumps(written), "--output", str(tmp_path / "rounds.json")])
    assert capsys.readouterr().err == "precision: 30 more runs, up to round 20\n"
    counts = matrix.asked_rounds(tmp_path / "rounds.json")
    assert {name[-1]: rounds for name, rounds in counts.items()} == {32: 5, 128: 20}
    assert len(matrix.runs(loaded, counts)) == 2 * (5 + 20 + 2 * 2)


def test_a_record_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(catalogue.ROOT)
    written = config.readable("config.yaml") | {"results": str(tmp_path)}
    written["matrix"] = [written["matrix"][0] | {"rounds": WRITTEN}]
    with pytest.raises(SystemExit, match=r"round-1\.json: cannot be read"):
        main(["--config", json.dumps(written), "--output", str(tmp_path / "rounds.json")])
    assert not (tmp_path / "rounds.json").exists()
