"""The search for the largest batch that trains: with known memory, and through processes that run out of it."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from math import log2

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from framebench import record, workloads
from framebench.analyse import command as analyse_command
from framebench.analyse import failures
from framebench.data.batches import whole_batches
from framebench.measure import command, largest, supervisor
from framebench.measure.devices import cpu
from framebench.measure.largest import RESOLUTION, Found, Trial, search
from framebench.measure.protocol import few_steps
from framebench.measure.request import Request
from framebench.plan import catalogue, config, matrix
from framebench.plan.bindings import Gpu
from framebench.plan.config import LargestBatch
from requested import PROTOCOL

pytestmark = pytest.mark.check

BATCH_SIZES = st.integers(1, 2**20)


def with_room_for(limit: int) -> Callable[[int], Trial]:
    """Trials on a device on which a batch of up to so many images trains."""
    return lambda size: Trial(size, "ok") if size <= limit else Trial(size, "out_of_memory", f"no room for {size}")


@given(limit=st.integers(0, 2**21), start=BATCH_SIZES, more=st.integers(0, 2**20))
def test_the_largest_batch_trains_and_one_larger_by_the_resolution_does_not(limit, start, more):
    at_most = start + more
    found, trials = search(start, at_most, with_room_for(limit))
    tried = [trial.batch_size for trial in trials]
    assert len(set(tried)) == len(tried)
    assert tried[0] == start
    assert all(1 <= size <= at_most for size in tried)
    # Doubled or halved as often as needed, then bisected as often as the resolution needs.
    assert len(tried) <= log2(at_most) + log2(RESOLUTION) + 3
    if limit >= at_most:
        assert found == Found("ok", None, at_most, "at_most")
    elif limit == 0:
        assert found == Found("out_of_memory", "batch 1: no room for 1")
    else:
        assert (found.status, found.bound) == ("ok", "out_of_memory")
        assert found.largest in tried
        assert found.largest <= limit < found.largest + max(1, found.largest // RESOLUTION)
        assert found.reason == "batch {0}: no room for {0}".format(min(size for size in tried if size > limit))


@given(BATCH_SIZES, BATCH_SIZES, st.integers(0, 30), st.sampled_from(failures.RETRIED))
def test_a_trial_that_ends_otherwise_ends_the_search_and_is_never_a_result(limit, start, fails_at, status):
    room, made = with_room_for(limit), 0

    def run(size: int) -> Trial:
        nonlocal made
        made += 1
        return Trial(size, status, "why") if made > fails_at else room(size)

    found, trials = search(start, 2**20, run)
    if made > fails_at:
        assert found == Found(status, f"batch {trials[-1].batch_size}: why")
        assert [trial.status for trial in trials].count(status) == 1
    else:
        assert found == search(start, 2**20, room)[0]


def test_it_doubles_until_memory_runs_out_and_then_bisects():
    _, trials = search(32, 10**6, with_room_for(1000))
    assert [trial.batch_size for trial in trials] == [32, 64, 128, 256, 512, 1024, 768, 896, 960, 992]


def test_it_halves_where_already_the_start_runs_out_of_memory():
    found, trials = search(64, 1024, with_room_for(5))
    assert [trial.batch_size for trial in trials] == [64, 32, 16, 8, 4, 6, 5]
    assert found.largest == 5


# Stands in for the framework's interpreter: trains up to 100 images, notes its requests, and ends as `end` says.
WORKER = """#!{python}
import json, os, sys
request = json.load(open(sys.argv[-4]))
told = os.fdopen(int(sys.argv[-3]), "w")
for state in ("built", "warm", "timed"):
    print(state, file=told, flush=True)
    sys.stdin.readline()
print(json.dumps(request), file=open({asked!r}, "a"))
seen = {{"status": "ok", "flags": ["warmup_not_converged"], "framework_version": "1.0", "allocator_peak_mib": 7.0}}
if request["cell"]["batch_size"] > 100:
    {end}
json.dump(seen, open(sys.argv[-2], "w"))
"""
OUT_OF_MEMORY = 'seen = {"status": "out_of_memory", "reason": "no room"}'
BAD_ALLOC = """os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\\n"); """
NO_THREAD = """os.write(2, b"Check failed: ret == 0 (11 vs. 0) Thread x creation via pthread_create() failed.\\n"); """


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """Searches with that WORKER, from 32 to 1024; the results, and each trial's request."""
    monkeypatch.setattr(cpu, "MOMENT_S", 0.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(command, "die_with", lambda parent: None)

    def run(end: str = OUT_OF_MEMORY, **options: object) -> tuple[dict, list[Request]]:
        script, asked, output = (tmp_path / name for name in ("python", "asked", "found.json"))
        script.write_text(WORKER.format(python=sys.executable, asked=str(asked), end=end), encoding="utf-8")
        script.chmod(0o755)
        values: dict[str, object] = {
            **{"device": "cpu", "workload": "article-cnn", "framework": "pytorch", "precision": "float32"},
            **{"host-memory-mib": 2048, "start": 32, "at-most": 1024},
            "protocol": json.dumps(asdict(PROTOCOL)),
            **{"data": "none.npz", "python": script, "environment": sys.prefix, "lock-digest": "0"},
            "parent": os.getppid(),
            **{"log": tmp_path / "search.log", "output": output},
        }
        words = [str(word) for name, value in (values | options).items() for word in (f"--{name}", value)]
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["largest", *words])
            largest.main()
        return json.loads(output.read_text(encoding="utf-8")), [
            Request.from_json(line) for line in asked.read_text(encoding="utf-8").splitlines()
        ]

    return run


def test_every_trial_is_a_process_of_its_own_with_one_batch_of_data_on_the_device(searched, tmp_path, capsys):
    found, asked = searched()
    sizes = [32, 64, 128, 96, 112, 104, 100]
    assert [request.cell.batch_size for request in asked] == [trial["batch_size"] for trial in found["trials"]] == sizes
    for request in asked:
        assert (request.cell.track, request.cell.input, request.batches) == ("default", "device", 1)
        assert (request.host_memory_mib, request.uuid, request.weights_only, request.diagnosis) == (
            2048,
            None,
            True,
            False,
        )
        assert request.protocol == few_steps(PROTOCOL)
        assert request.protocol.timeout_s == 60
    assert {name: found[name] for name in ("status", "largest", "bound", "reason")} == {
        **{"status": "ok", "largest": 100, "bound": "out_of_memory", "reason": "batch 104: no room"}
    }
    assert (found["host_memory_mib"], found["framework_version"], found["flags"]) == (2048, "1.0", [])
    assert found["trials"][-1]["allocator_peak_mib"] == 7.0
    assert (tmp_path / "search-batch-128.log").exists()
    assert "largest batch of article-cnn in pytorch (float32) on cpu: 64 trains\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "reason"), [(BAD_ALLOC, "terminate called after"), (NO_THREAD, "creation via pthread_create() failed")]
)
def test_a_process_that_is_aborted_for_want_of_memory_ran_out_of_memory(searched, said, reason):
    found, _ = searched(said + "os.abort()")
    assert (found["status"], found["largest"], found["bound"]) == ("ok", 100, "out_of_memory")
    assert found["reason"].startswith(f"batch 104: the measuring process was killed by SIGABRT: {reason}")


def test_without_a_limit_a_thread_that_cannot_be_made_says_nothing_of_memory(tmp_path):
    (tmp_path / "log").write_text("Thread x creation via pthread_create() failed.", encoding="utf-8")
    aborted = subprocess.Popen([sys.executable, "-c", "import os; os.abort()"])
    aborted.wait()
    for limited, status in {True: "out_of_memory", False: "failed"}.items():
        seen = supervisor.seen_by(aborted.returncode, tmp_path / "none", tmp_path / "log", limited)
        assert seen["status"] == status


KILL = f"os.kill(os.getpid(), {int(signal.SIGKILL)})"
KILLED = "the measuring process was killed by SIGKILL, as the kernel does when memory runs out"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os.abort()", "the measuring process was killed by SIGABRT"),
        (BAD_ALLOC + "sys.exit(1)", "the measuring process exited with code 1"),
        (KILL, KILLED),
        (BAD_ALLOC + KILL, KILLED),
        ('seen = {"status": "failed", "reason": "KeyError: x"}', "KeyError: x"),
    ],
)
def test_a_crash_or_a_kill_is_not_taken_for_memory_that_ran_out(searched, end, reason):
    found, asked = searched(end)
    assert (found["status"], found["largest"], found["bound"]) == ("failed", None, None)
    assert found["reason"] == f"batch 128: {reason}"
    assert asked[-1].cell.batch_size == 128


def test_without_a_gpu_and_without_a_limit_nothing_is_tried(searched, capsys):
    with pytest.raises(SystemExit):
        searched(**{"host-memory-mib": 0})
    assert "--host-memory-mib must keep the trials from taking all memory of the host" in capsys.readouterr().err


def test_a_search_has_the_flags_of_its_trials():
    runs = [{"flags": []}, {"flags": ["warmup_not_converged", "stand_in"]}, {"flags": ["other_process_on_gpu"]}]
    assert largest.flags(runs) == [supervisor.SHARED, record.STAND_IN]
    assert largest.flags(runs[:1]) == []


def test_images_come_again_where_they_do_not_fill_the_batches(tmp_path):
    images = np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3)
    np.savez(tmp_path / "data.npz", samples=images, labels=np.arange(5))
    article, data = workloads.load("article-cnn"), tmp_path / "data.npz"
    assert whole_batches(article, data, 2)[1].tolist() == [0, 1, 2, 3]
    assert whole_batches(article, data, 2, batches=1)[1].tolist() == [0, 1]
    repeated, labels = whole_batches(article, data, 12, batches=1)
    assert labels.tolist() == [0, 1, 2, 3, 4] * 2 + [0, 1]
    assert repeated.dtype == np.float32
    assert np.array_equal(repeated[10:], repeated[:2])


@pytest.mark.parametrize(("limit_mib", "said"), [(64, "MemoryError"), (1024, "200 MiB")])
def test_a_process_whose_memory_is_limited_gets_no_more(limit_mib, said):
    code = f"""
from framebench.measure.devices import cpu
cpu.limit_memory({limit_mib})
try:
    print(len(bytearray(200 * 2**20)) // 2**20, "MiB")
except MemoryError as error:
    print(type(error).__name__)
"""
    environment = os.environ | {"PYTHONPATH": str(catalogue.ROOT / "workflow"), "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert result.stdout == f"{said}\n"


DEFAULT = config.load(config.readable(catalogue.ROOT / "config.yaml"), "config.yaml")


def configured(host_memory_mib: int | None = None, devices: tuple[str, ...] = ("cpu", "h200")) -> config.Config:
    """config.yaml on these devices."""
    gpus = tuple(Gpu(name, f"GPU-{name}", name, None, None, "host") for name in devices if name != "cpu")
    return replace(DEFAULT, devices=devices, gpus=gpus, largest_batch=LargestBatch(1024, 65536, host_memory_mib))


def test_without_a_request_nothing_is_searched_not_even_on_a_gpu():
    assert DEFAULT.largest_batch is None
    assert matrix.largest_batch_paths(replace(configured(), largest_batch=None)) == []


def test_gpus_are_searched_and_the_cpu_only_within_a_limit():
    assert matrix.largest_batch_paths(configured(devices=("cpu",))) == []
    on_gpu = matrix.largest_batch_paths(configured())
    assert "results/largest-batch/h200/vgg-cnn/pytorch/float32.json" in on_gpu
    # Once, whatever tracks and batch sizes: two workloads in three frameworks.
    assert len(on_gpu) == len(set(on_gpu)) == 2 * 3
    assert len(matrix.largest_batch_paths(configured(host_memory_mib=4096))) == 2 * len(on_gpu)


def made(framework: str = "pytorch", **changes: object) -> dict:
    """The result of a search."""
    found = Found("ok", "batch 112: no room", 100, "out_of_memory")
    return {
        **{"device": "h200", "workload": "article-cnn", "framework": framework, "precision": "float32"},
        **{"host_memory_mib": None, **vars(found), "started_unix_s": 1234.0},
        **dict.fromkeys(largest.OF_MACHINE),
        **{"flags": ["stand_in"], "trials": [vars(Trial(64, "ok", None, 5.0)), vars(Trial(100, "ok", None, 7.0, 9.0))]},
    } | changes


def made_table(output, *searches):
    analyse_command.main(["largest_batch", "--searches", *map(str, searches), "--output", str(output)])


def test_the_table_has_a_row_per_search_with_the_memory_of_its_largest_batch(tmp_path):
    failed = made("keras-tensorflow", status="failed", largest=None, bound=None, reason="batch 64: x", trials=[])
    for number, one in enumerate([made(), failed]):
        (tmp_path / f"{number}.json").write_text(json.dumps(one), encoding="utf-8")
    made_table(tmp_path / "table.csv", *sorted(tmp_path.glob("*.json")))
    head, first, second = (
        line.split(",") for line in (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    )
    rows = [dict(zip(head, values, strict=True)) for values in (first, second)]
    assert [(row["framework"], row["status"], row["largest"], row["trials"]) for row in rows] == [
        ("keras-tensorflow", "failed", "", "0"),
        ("pytorch", "ok", "100", "2"),
    ]
    assert (rows[1]["allocator_peak_mib"], rows[1]["gpu_peak_delta_mib"], rows[1]["flags"]) == (
        "7.0",
        "9.0",
        "stand_in",
    )
    assert rows[0]["allocator_peak_mib"] == ""


def test_where_nothing_is_searched_the_table_says_why_and_what_to_do(tmp_path):
    asked = r"`(largest_batch: \{.*\})` in config\.yaml has every GPU searched, and the CPU where host_memory_mib is"
    with pytest.raises(SystemExit, match=rf"^largest_batch: nothing is asked for: {asked}") as refused:
        made_table(tmp_path / "table.csv")
    # A line that can be copied: the search that it asks for is taken.
    (line,) = re.findall(r"`(.*)`", str(refused.value))
    written = config.readable(catalogue.ROOT / "config.yaml") | yaml.safe_load(line)
    assert config.load(written, "config.yaml").largest_batch == LargestBatch(1024, 32768, None)


@pytest.mark.parametrize("content", ["{", "[]", '{"device": "cpu"}'])
def test_a_damaged_search_is_named(tmp_path, content):
    (tmp_path / "float32.json").write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"float32\.json: .*delete it to have the batch searched again$"):
        made_table(tmp_path / "table.csv", tmp_path / "float32.json")


@pytest.mark.parametrize("status", failures.RETRIED)
def test_a_failed_search_is_said_and_set_aside_for_the_next_attempt(tmp_path, status):
    path, table = tmp_path / "h200/float32.json", tmp_path / "table.csv"
    path.parent.mkdir()
    path.write_text(json.dumps(made(status=status, largest=None, bound=None, reason="batch 64: x")), encoding="utf-8")
    made_table(table, path)
    with pytest.raises(SystemExit) as told:
        failures.main(["--largest-batch", str(table)])
    assert str(told.value) == (
        f"1 of 1 searches for the largest batch failed:\nh200 · article-cnn · pytorch · float32: {status}: batch 64: x"
    )
    assert failures.set_aside([], [path]) == [tmp_path / "h200/failed/float32-1234.json"]
    assert not path.exists()


@pytest.mark.parametrize("status", ["ok", "out_of_memory"])
def test_a_search_that_came_to_an_end_stays(tmp_path, status):
    path, table = tmp_path / "float32.json", tmp_path / "table.csv"
    path.write_text(json.dumps(made(status=status)), encoding="utf-8")
    made_table(table, path)
    failures.main(["--largest-batch", str(table)])
    assert failures.set_aside([], [path]) == []
    assert path.exists()
