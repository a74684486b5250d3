"""How many rounds a rule asks for: from the neediest pair of a block, once, of the rounds that were ok."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.analyse.rounds_needed import asked, half_width, main
from framebench.analyse.statistics import geometric_mean_interval, rounds_needed
from framebench.analyse.table import table
from framebench.plan import catalogue, config, matrix
from framebench.plan.config import Rounds
from framebench.record import BLOCK, write
from runs import run, runs

pytestmark = pytest.mark.check

RULE = Rounds(at_least=5, at_most=20, ci_half_width=0.05)
KERAS = "keras-tensorflow"


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
            entry | {"rounds": dataclasses.asdict(RULE)},
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
    written["matrix"] = [written["matrix"][0] | {"rounds": dataclasses.asdict(RULE)}]
    with pytest.raises(SystemExit, match=r"round-1\.json: cannot be read"):
        main(["--config", json.dumps(written), "--output", str(tmp_path / "rounds.json")])
    assert not (tmp_path / "rounds.json").exists()
