"""A block in a round: its processes take turns, and the end of one costs the others nothing but time."""

import json
import os
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from framebench.measure import round as of_block
from framebench.measure.devices import cpu
from framebench.measure.supervisor import STARTING, Member
from requested import request

pytestmark = pytest.mark.check

# In place of a framework's interpreter: takes its turns like a worker, and behaves in each as its framework's name
# says. It leaves a note of its lifetime.
INTERPRETER = """#!{python}
import json, os, signal, subprocess, sys, time
BLOCK_S = 0.004
start = time.perf_counter_ns()
asked, told, seen = sys.argv[-4], os.fdopen(int(sys.argv[-3]), "w"), sys.argv[-2]
request = json.load(open(asked))
name = request["cell"]["framework"]
print("started", flush=True)
if name == "crashes-at-import":
    raise ImportError("no such library")
if name == "has-a-child":
    # It holds the pipe, and outlives the process by far.
    os.set_inheritable(told.fileno(), True)
    child = subprocess.Popen(["sleep", "300"], close_fds=False).pid
waited = 0.0
def wait(state):
    global waited
    begun = time.perf_counter()
    print(state, file=told, flush=True)
    answer = sys.stdin.readline()
    waited += time.perf_counter() - begun
    if not answer:
        sys.exit("no one is there")
    return int(answer)
built_ns = time.perf_counter_ns()
wait("built")
computing = [[time.perf_counter_ns()]]
time.sleep(0.002)
computing[-1].append(time.perf_counter_ns())
blocks, turns, lead_in_s, state = [], [], 0.0, "warm"
while count := wait(state):
    turns.append(count)
    computing.append([time.perf_counter_ns()])
    time.sleep(0.001)
    lead_in_s += (time.perf_counter_ns() - computing[-1][0]) / 1e9
    if len(turns) == 2:
        if name == "hangs":
            time.sleep(600)
        if name == "exits":
            sys.exit(3)
        if name == "is-killed-in-its-turn":
            os.kill(os.getpid(), signal.SIGKILL)
    for _ in range(count):
        t0_ns = time.perf_counter_ns()
        time.sleep(BLOCK_S)
        blocks.append(dict(t0_ns=t0_ns, t1_ns=time.perf_counter_ns(), steps=1))
    computing[-1].append(time.perf_counter_ns())
    state = "timed"
    if len(turns) == 2 and name == "is-killed-while-it-waits":
        print(state, file=told, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
first_s = (computing[0][1] - computing[0][0]) / 1e9
observed = dict(
    status="ok", flags=[], blocks=blocks, built_ns=built_ns, import_s=0.001, build_s=0.001, data_s=0.0,
    time_to_first_step_s=first_s, warmup_s=0.0, lead_in_s=lead_in_s,
    timed_s=sum(b["t1_ns"] - b["t0_ns"] for b in blocks) / 1e9,
    waiting_s=waited, waiting_cpu_s=0.0, check_s=0.0, diagnosis_s=0.0, host_rss_peak_mib=100.0,
)
json.dump(observed, open(seen, "w"))
note = dict(alive=[start, time.perf_counter_ns()], computing=computing, turns=turns, diagnosis=request["diagnosis"])
note["child"] = child if name == "has-a-child" else None
json.dump(note, open(os.path.join({notes!r}, name), "w"))
if name == "does-not-end":
    told.close()
    time.sleep(600)
if name == "ends-late":
    time.sleep(3)
"""


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Measures these frameworks in a round; their records, by framework."""
    monkeypatch.setattr(cpu, "MOMENT_S", 0.0)
    (tmp_path / "notes").mkdir()
    script = tmp_path / "python"
    script.write_text(INTERPRETER.format(python=sys.executable, notes=str(tmp_path / "notes")), encoding="utf-8")
    script.chmod(0o755)

    def run(*frameworks: str, expected_mib: float | None = None, **changes: object) -> dict[str, dict]:
        members = [
            Member(
                request(framework=name, order=i, python=str(script), **changes),
                tmp_path / f"{name}.log",
                expected_mib=expected_mib,
            )
            for i, name in enumerate(frameworks, start=1)
        ]
        runs = of_block.measure(members)
        assert [run["framework"] for run in runs] == list(frameworks)
        return {run["framework"]: run for run in runs}

    return run


def note(folder: Path, name: str) -> dict:
    return json.loads((folder / "notes" / name).read_text(encoding="utf-8"))


def alive(pid: int) -> bool:
    """True where such a process has not ended; one that has may not have been waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def in_order(runs: dict[str, dict]) -> list[str]:
    """The framework of each block of a round, in the order of their places, which have no gap."""
    placed = {block["place"]: name for name, run in runs.items() for block in run["blocks"]}
    assert sorted(placed) == list(range(1, sum(len(run["blocks"]) for run in runs.values()) + 1))
    return [placed[place] for place in sorted(placed)]


def most_alive(folder: Path, names: list[str]) -> int:
    """Largest number of these processes alive at a time."""
    ends = [note(folder, name)["alive"] for name in names]
    return max(sum(start <= at < end for start, end in ends) for at, _ in ends)


THREE = ("a", "b", "c")


@pytest.mark.parametrize("expected_mib", [None, 1.0], ids=["started one by one", "started together"])
def test_blocks_of_several_processes_alternate_and_only_one_computes(measured, tmp_path, expected_mib):
    runs = measured(*THREE, expected_mib=expected_mib)
    order = in_order(runs)
    cycles = [order[i : i + 3] for i in range(0, 9, 3)]
    assert len(order) == 9
    assert all(sorted(cycle) == list(THREE) for cycle in cycles)
    assert all((run["status"], run["interleaved_with"]) == ("ok", 2) for run in runs.values())
    spans = sorted(span for name in THREE for span in note(tmp_path, name)["computing"])
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    by_place = sorted((b["place"], b["t0_ns"], b["t1_ns"]) for run in runs.values() for b in run["blocks"])
    assert all(before[2] <= after[1] for before, after in pairwise(by_place))


def test_the_order_of_the_turns_is_drawn_from_the_seed_and_the_round(measured):
    def order(**changes: int) -> list[str]:
        return in_order(measured(*THREE, expected_mib=1.0, **changes))

    first = order(seed=1, round=2)
    assert order(seed=1, round=2) == first
    assert order(seed=2, round=2) != first
    assert order(seed=1, round=3) != first


def test_a_single_process_takes_all_its_blocks_in_one_turn(measured, tmp_path):
    runs = measured("a")
    assert in_order(runs) == ["a"] * 3
    assert note(tmp_path, "a")["turns"] == [3]
    assert runs["a"]["interleaved_with"] == 0


def test_without_interleaving_each_process_follows_the_one_before(measured, tmp_path):
    runs = measured(*THREE, interleave=False, expected_mib=1.0)
    assert in_order(runs) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    assert most_alive(tmp_path, list(THREE)) == 1
    assert {run["interleaved_with"] for run in runs.values()} == {0}
    assert [note(tmp_path, name)["turns"] for name in THREE] == [[3]] * 3


@pytest.mark.parametrize("expected_mib", [None, 100.0], ids=["started one by one", "started together"])
@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("hangs", "timeout", "still running after protocol.timeout_s = 4.0 s of its own"),
        ("exits", "failed", "the measuring process exited with code 3"),
        ("crashes-at-import", "failed", "the measuring process exited with code 1"),
        (
            "is-killed-in-its-turn",
            "failed",
            "the measuring process was killed by SIGKILL, as the kernel does when memory runs out",
        ),
        (
            "is-killed-while-it-waits",
            "failed",
            "the measuring process was killed by SIGKILL, as the kernel does when memory runs out",
        ),
    ],
)
def test_the_end_of_one_costs_the_others_only_time(measured, name, status, reason, expected_mib):
    runs = measured("a", name, "c", timeout_s=4.0, expected_mib=expected_mib)
    assert (runs[name]["status"], runs[name]["reason"]) == (status, reason)
    assert runs[name]["process_s"] > 0
    for other in ("a", "c"):
        assert (runs[other]["status"], len(runs[other]["blocks"])) == ("ok", 3)


def test_the_time_that_a_process_waits_is_not_its_own(measured):
    """The other hangs for the whole of its time, and the first waits through that."""
    runs = measured("a", "hangs", timeout_s=4.0, expected_mib=1.0)
    assert runs["a"]["waiting_s"] >= 0.5
    assert (runs["a"]["status"], runs["hangs"]["status"]) == ("ok", "timeout")


def test_as_many_are_alive_together_as_memory_holds(measured, tmp_path, monkeypatch):
    """Twelve processes of 100 MiB each, and memory for three."""
    names = [f"framework-{i:02}" for i in range(12)]
    pids: list[int] = []
    begin = of_block.Run.start

    def start(run, sample):
        begin(run, sample)
        pids.append(run._process.pid)

    monkeypatch.setattr(of_block.Run, "start", start)
    monkeypatch.setattr(cpu, "resident_peak_mib", lambda pid=None: 100.0)
    # A candidate needs a quarter more than it is expected to take.
    monkeypatch.setattr(cpu, "available_mib", lambda: 330.0 - 100.0 * sum(map(alive, pids)))
    runs = measured(*names)
    assert all((run["status"], len(run["blocks"])) == ("ok", 3) for run in runs.values())
    assert most_alive(tmp_path, names) == 3
    assert {run["interleaved_with"] for run in runs.values()} == {2}
    order = in_order(runs)
    assert [set(order[i : i + 9]) for i in range(0, 36, 9)] == [set(names[i : i + 3]) for i in range(0, 12, 3)]


def test_memory_that_another_is_yet_to_take_is_kept_for_it(measured, monkeypatch):
    """Those started together have taken nothing yet when it is decided whether one more is started."""
    monkeypatch.setattr(cpu, "resident_peak_mib", lambda pid=None: 0.0)
    monkeypatch.setattr(cpu, "available_mib", lambda: 330.0)
    runs = measured(*"abcdef", expected_mib=100.0)
    assert {run["interleaved_with"] for run in runs.values()} == {2}
    assert {run["status"] for run in runs.values()} == {"ok"}


def parts_of(run: dict) -> float:
    names = ["start_s", *STARTING, "time_to_first_step_s", "warmup_s", "lead_in_s", "timed_s", "waiting_s", "check_s"]
    return sum(run[name] or 0.0 for name in [*names, "diagnosis_s", "end_s"])


@pytest.mark.parametrize("diagnosis", [True, False])
@pytest.mark.parametrize("interleave", [True, False])
def test_the_parts_of_a_process_sum_to_its_time_and_those_of_a_start_beside_others_are_not_told(
    measured, tmp_path, diagnosis, interleave
):
    runs = measured(*THREE, diagnosis=diagnosis, interleave=interleave)
    alone = diagnosis or not interleave
    for run in runs.values():
        assert parts_of(run) == pytest.approx(run["process_s"], abs=1e-6)
        assert all(run[name] >= 0 for name in ("start_s", "end_s"))
        assert [run[name] for name in STARTING] == ([0.001, 0.001, 0.0] if alone else [None] * 3)


def test_where_it_is_known_what_memory_each_takes_they_are_started_at_the_same_time(measured, tmp_path):
    def overlap(**changes) -> bool:
        measured("a", "b", **changes)
        first, second = (note(tmp_path, name) for name in ("a", "b"))
        return second["alive"][0] < first["computing"][0][0]

    assert overlap(expected_mib=1.0)
    assert not overlap()
    assert not overlap(expected_mib=1.0, diagnosis=True)


def test_a_child_of_a_process_that_holds_its_pipe_does_not_hold_up_the_end(measured, tmp_path):
    runs = measured("a", "has-a-child")
    child = note(tmp_path, "has-a-child")["child"]
    assert alive(child)
    os.kill(child, signal.SIGKILL)
    assert {run["status"] for run in runs.values()} == {"ok"}


def test_a_process_that_has_said_all_and_does_not_end_is_stopped(measured):
    """A library that hangs while the interpreter ends: the pipe is closed by then."""
    runs = measured("does-not-end", "a", timeout_s=4.0, expected_mib=1.0)
    assert (runs["does-not-end"]["status"], runs["a"]["status"]) == ("timeout", "ok")


def test_the_time_of_a_process_ends_with_it(measured):
    runs = measured("a", "exits", "ends-late")
    assert runs["exits"]["process_s"] < runs["ends-late"]["process_s"] - 0.9
    assert runs["a"]["end_s"] + 0.5 < runs["ends-late"]["end_s"]


def test_an_error_of_the_supervisor_ends_every_process(measured, monkeypatch):
    pids = []
    begin = of_block.Run.start

    def start(run, sample):
        begin(run, sample)
        pids.append(run._process.pid)

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(of_block.Run, "start", start)
    monkeypatch.setattr(of_block, "take_turns", broken)
    with pytest.raises(KeyboardInterrupt):
        measured(*THREE)
    assert len(pids) == 3
    end = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.01)
