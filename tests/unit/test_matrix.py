"""Every cell is measured in the requested number of rounds, round by round, in an order that only the seed decides."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import merged
from framebench import record
from framebench.plan import catalogue, config, matrix
from framebench.plan.bindings import Gpu
from framebench.plan.config import Rounds
from framebench.plan.matrix import RECORD, Cell, Run
from framebench.record import BLOCK

pytestmark = pytest.mark.check

DEFAULT = config.load(config.readable(catalogue.ROOT / "config.yaml"), "config.yaml")


def configuration(seed: int, rounds: Sequence[int | Rounds], batch_sizes: int = 2, devices: tuple[str, ...] = ("cpu",)):
    """One entry per number of rounds, each with its own batch sizes."""
    entries = tuple(
        dataclasses.replace(
            DEFAULT.matrix[0],
            batch_sizes=tuple(range(1 + i * batch_sizes, 1 + (i + 1) * batch_sizes)),
            rounds=Rounds.of(count),
        )
        for i, count in enumerate(rounds)
    )
    protocol = dataclasses.replace(DEFAULT.protocol, seed=seed)
    return dataclasses.replace(DEFAULT, matrix=entries, protocol=protocol, devices=devices)


configurations = st.builds(
    configuration,
    seed=st.integers(min_value=0),
    rounds=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    batch_sizes=st.integers(1, 3),
    devices=st.sampled_from([("cpu",), ("cpu", "h200")]),
)


def test_an_entry_is_crossed_with_every_framework_and_device():
    cells = matrix.cells(configuration(seed=1, rounds=[3], batch_sizes=2, devices=("cpu", "h200")))
    assert len(cells) == len(set(cells)) == 2 * 2 * len(DEFAULT.frameworks)
    assert Cell("h200", "article-cnn", "pytorch", "default", "float32", "device", 2) in cells


@given(configurations)
def test_every_cell_has_each_of_its_rounds_once(configured):
    expected = {
        (cell.batch_size, cell.framework, cell.device, round)
        for cell in matrix.cells(configured)
        for entry in configured.matrix
        if cell.batch_size in entry.batch_sizes
        for round in range(1, entry.rounds.at_least + 1)
    }
    runs = matrix.runs(configured)
    found = {(run.cell.batch_size, run.cell.framework, run.cell.device, run.round) for run in runs}
    assert found == expected
    assert len(runs) == len(expected)


@given(configurations)
def test_order_counts_the_runs_from_one_and_round_follows_round(configured):
    runs = matrix.runs(configured)
    assert [matrix.order(configured)[run] for run in runs] == list(range(1, len(runs) + 1))
    assert [run.round for run in runs] == sorted(run.round for run in runs)


def test_block_after_block_has_its_first_rounds_in_the_order_of_the_matrix_and_added_rounds_come_last():
    rounds_first = configuration(seed=1, rounds=[Rounds(3, 5, until="decided"), 2], batch_sizes=2)
    blocks_first = dataclasses.replace(rounds_first, order="blocks")
    jobs = list(dict.fromkeys((run.cell.batch_size, run.round) for run in matrix.campaign(blocks_first)))
    first = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (4, 1), (4, 2)]
    assert jobs == [*first, (1, 4), (1, 5), (2, 4), (2, 5)]
    # The runs of a job stay together, in the order that is drawn for it.
    for size, round in jobs:
        job, same = (
            [run for run in matrix.campaign(one) if (run.cell.batch_size, run.round) == (size, round)]
            for one in (rounds_first, blocks_first)
        )
        assert job == same
        places = [matrix.order(blocks_first)[run] for run in job]
        assert places == list(range(places[0], places[0] + len(job)))


def test_the_quick_look_at_a_gpu_is_of_few_runs_and_has_its_first_block_first(monkeypatch):
    gpu = Gpu("h200", "GPU-1", "NVIDIA H200", None, None, "host")
    monkeypatch.setattr(config, "resolve", lambda asked, results: {"h200": gpu})
    files = [config.readable(catalogue.ROOT / name) for name in ("config.yaml", "presets/gpu-quick.yaml")]
    quick = config.load(merged(*files), "gpu-quick.yaml")
    runs = matrix.runs(quick)
    assert (len(runs), len(quick.frameworks)) == (36, 4)
    blocks = dict.fromkeys((run.cell.workload, run.cell.precision, run.cell.batch_size) for run in runs)
    assert list(blocks) == [
        ("article-cnn", "float32", 128),
        ("article-cnn", "float32", 2048),
        ("vgg-cnn", "float32", 64),
    ]
    assert {run.cell.batch_size for run in runs[:12]} == {128}
    assert matrix.largest_batch_paths(quick) == []


@given(configurations)
def test_order_is_the_same_for_the_same_seed(configured):
    expected = matrix.runs(configured)
    matrix.campaign.cache_clear()
    assert matrix.runs(configured) == expected


@given(st.integers(min_value=0))
def test_order_differs_between_seeds_rounds_and_devices(seed):
    def cells_in(seed: int, device: str, round: int) -> list[tuple[str, int]]:
        runs = matrix.runs(configuration(seed, [2], batch_sizes=10, devices=("cpu", "h200")))
        return [
            (run.cell.framework, run.cell.batch_size) for run in runs if (run.cell.device, run.round) == (device, round)
        ]

    first = cells_in(seed, "cpu", 1)
    for other in (cells_in(seed + 1, "cpu", 1), cells_in(seed, "h200", 1), cells_in(seed, "cpu", 2)):
        assert other != first
        assert sorted(other) == sorted(first)


def test_a_known_seed_has_a_known_order():
    """Records of one campaign must agree on their places, whichever machine and Python planned them."""
    runs = matrix.runs(configuration(seed=20180629, rounds=[1], batch_sizes=2))
    assert [(run.cell.framework, run.cell.batch_size) for run in runs] == [
        ("pytorch", 1),
        ("tensorflow", 1),
        ("keras-tensorflow", 1),
        ("tensorflow", 2),
        ("keras-tensorflow", 2),
        ("pytorch", 2),
    ]


WRITTEN = {"at_least": 3, "at_most": 6, "ci_half_width": 0.02}
RULE = Rounds(**WRITTEN)


def test_without_a_rule_for_the_rounds_there_is_nothing_to_compute_first():
    configured = configuration(seed=1, rounds=[2, 3])
    assert not matrix.has_rule(configured)
    assert matrix.first_runs(configured) == []
    assert matrix.runs(configured) == list(matrix.campaign(configured))


def test_a_rule_begins_with_its_first_rounds_and_leaves_other_cells_alone():
    configured = configuration(seed=1, rounds=[5, RULE], batch_sizes=1)
    frameworks = len(DEFAULT.frameworks)
    assert matrix.has_rule(configured)
    assert len(matrix.runs(configured)) == frameworks * (5 + 3)
    first = matrix.first_runs(configured)
    assert {(run.cell.batch_size, run.round) for run in first} == {(2, 1), (2, 2), (2, 3)}
    assert len(first) == frameworks * 3


def test_requested_rounds_of_a_block_are_measured_in_all_its_frameworks():
    configured = configuration(seed=1, rounds=[RULE], batch_sizes=2)
    asked = {cell.block: 5 for cell in matrix.cells(configured) if cell.batch_size == 1}
    counts = Counter(run.cell for run in matrix.runs(configured, asked))
    assert counts == {cell: 5 if cell.batch_size == 1 else 3 for cell in matrix.cells(configured)}


@given(st.integers(3, 6))
def test_more_rounds_leave_the_order_of_the_others_as_it_was(count):
    configured = configuration(seed=7, rounds=[RULE, 4], batch_sizes=2)
    asked = {cell.block: count for cell in matrix.cells(configured) if cell.batch_size <= 2}
    runs, order = matrix.runs(configured, asked), matrix.order(configured)
    places = [order[run] for run in runs]
    assert places == sorted(places)
    assert set(matrix.runs(configured)) <= set(runs)


def test_a_block_is_named_by_the_columns_of_the_tables(tmp_path):
    block = Cell("cpu", "article-cnn", "pytorch", "default", "float32", "host", 64).block
    (tmp_path / "rounds.json").write_text(
        json.dumps([dict(zip(BLOCK, block, strict=True)) | {"rounds": 9}]), encoding="utf-8"
    )
    assert matrix.asked_rounds(tmp_path / "rounds.json") == {block: 9}


def test_the_plan_holds_the_rounds_that_were_asked_for(tmp_path):
    written = config.readable(catalogue.ROOT / "config.yaml")
    written["matrix"] = [written["matrix"][1] | {"rounds": WRITTEN}]
    block = dict(zip(BLOCK, matrix.cells(config.load(written, "a test"))[0].block, strict=True))
    (tmp_path / "rounds.json").write_text(json.dumps([block | {"rounds": 4}]), encoding="utf-8")
    options = ["--rounds", str(tmp_path / "rounds.json"), "--output", str(tmp_path / "plan.txt")]
    matrix.main(["--config", json.dumps(written), *options])
    planned = (tmp_path / "plan.txt").read_text(encoding="utf-8").splitlines()
    assert len(planned) == 4 * len(written["frameworks"])
    assert sum(path.endswith("round-4.json") for path in planned) == len(written["frameworks"])


BOTH_TRACKS = dataclasses.replace(
    DEFAULT.matrix[0], tracks=("default", "tuned"), batch_sizes=(32, 64), rounds=Rounds.of(2)
)


def test_a_job_makes_every_framework_in_every_track_of_a_block_in_one_round():
    configured = dataclasses.replace(DEFAULT, matrix=(BOTH_TRACKS,), devices=("cpu", "h200"))
    jobs = matrix.jobs(configured)
    assert len(jobs) == 2 * 2 * 2
    for job in jobs:
        asked = {(run.cell.framework, run.cell.track) for run in job}
        assert asked == {(name, track) for name in configured.frameworks for track in ("default", "tuned")}
        assert len(job) == len(asked)
        assert len({(run.cell.device, run.cell.batch_size, run.round) for run in job}) == 1
    made = [run for job in jobs for run in job]
    assert len(made) == len(set(made))
    assert set(made) == set(matrix.campaign(configured))


@given(configurations)
def test_the_runs_of_a_job_stand_beside_one_another_in_the_order(configured):
    order = matrix.order(configured)
    for job in matrix.jobs(configured):
        places = sorted(order[run] for run in job)
        assert places == list(range(places[0], places[0] + len(job)))


def test_tracks_with_another_rule_for_their_rounds_are_other_jobs():
    default = dataclasses.replace(BOTH_TRACKS, tracks=("default",))
    tuned = dataclasses.replace(BOTH_TRACKS, tracks=("tuned",), rounds=Rounds.of(3))
    shapes = matrix.shapes(dataclasses.replace(DEFAULT, matrix=(default, tuned)))
    assert [shape.tracks for shape in shapes] == [("default",), ("tuned",)]
    again = dataclasses.replace(tuned, rounds=default.rounds)
    (shape,) = matrix.shapes(dataclasses.replace(DEFAULT, matrix=(default, again)))
    assert (shape.tracks, shape.batch_sizes) == (("default", "tuned"), (32, 64))


def test_the_files_of_a_job_stand_in_the_order_of_its_runs():
    configured = dataclasses.replace(DEFAULT, matrix=(BOTH_TRACKS,))
    (shape,) = matrix.shapes(configured)
    files = [path.format(device="cpu", batch_size=64, round=2) for path in shape.files(f"results/{RECORD}")]
    assert files == [matrix.record_path("results", run) for run in shape.runs("cpu", 64, 2)]
    assert [(run.cell.framework, run.cell.track) for run in shape.runs("cpu", 64, 2)] == shape.members()


names = st.from_regex(r"[a-z][a-z0-9-]*", fullmatch=True)
runs_drawn = st.builds(
    Run,
    st.builds(Cell, *[names] * 6, st.integers(min_value=1)),
    st.integers(min_value=1),
)


@given(runs_drawn)
def test_a_run_is_known_from_the_path_of_its_record(run):
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", RECORD).replace(".json", r"\.json")
    path = matrix.record_path("results/quick", run)
    wildcards = re.fullmatch(f"results/quick/{pattern}", path)
    assert wildcards
    told = wildcards.groupdict()
    assert Run(Cell.of(told | {"batch_size": int(told["batch_size"])}), int(told["round"])) == run


def test_the_path_of_a_record_tells_the_cell():
    run = Run(Cell("cpu", "article-cnn", "keras-tensorflow", "default", "float32", "device", 32), 3)
    assert matrix.record_path("results", run) == (
        "results/runs/cpu/article-cnn/keras-tensorflow/default/float32/device/batch-32/round-3.json"
    )


def test_the_samples_of_a_run_stand_beside_the_records_under_the_name_of_its_own():
    run = Run(Cell("h200", "article-cnn", "pytorch", "default", "float32", "device", 32), 3)
    assert record.samples_path(Path(matrix.record_path("results/quick", run))) == Path(
        "results/quick/samples/h200/article-cnn/pytorch/default/float32/device/batch-32/round-3.npz"
    )


def test_ten_thousand_runs_have_a_place_and_a_path_each():
    order = matrix.order(configuration(seed=5, rounds=[10], batch_sizes=1000 // len(DEFAULT.frameworks) + 1))
    paths = {matrix.record_path("results", run) for run in order}
    assert sorted(order.values()) == list(range(1, len(order) + 1))
    assert len(paths) == len(order) >= 10_000
