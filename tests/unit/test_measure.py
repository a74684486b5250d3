"""The supervisor: its observations of the machine while the measuring process lives, and the record from them."""

import json
import os
import sys
import tempfile
from dataclasses import asdict

import pytest

from framebench import __version__
from framebench.measure import __main__ as measure
from framebench.measure import command, process, supervisor
from framebench.measure import round as of_block
from framebench.measure.devices import cpu
from framebench.measure.supervisor import Member
from requested import PROTOCOL, request

pytestmark = pytest.mark.check

# Stands in for the framework's interpreter: takes its turns, times one block that lasts until long after its end, and
# leaves its own affinity where the reason is expected.
WORKER = """#!{python}
import json, os, sys, time
told = os.fdopen(int(sys.argv[-3]), "w")
for state in ("built", "warm", "timed"):
    print(state, file=told, flush=True)
    sys.stdin.readline()
    if state == "built":
        block = {{"t0_ns": time.perf_counter_ns(), "t1_ns": time.perf_counter_ns() + 10**12, "steps": 1}}
        time.sleep({sleep_s})
seen = {{"status": "failed", "reason": str(sorted(os.sched_getaffinity(0))), "flags": ["warmup_not_converged"]}}
json.dump(seen | {{"blocks": [block]}}, open(sys.argv[-2], "w"))
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Makes the run of a request with WORKER, which sleeps for so long."""
    monkeypatch.setattr(cpu, "MOMENT_S", 0.0)
    script = tmp_path / "python"

    def measured(sleep_s: float = 0.0, **changes: object) -> dict:
        script.write_text(WORKER.format(python=sys.executable, sleep_s=sleep_s))
        script.chmod(0o755)
        (run,) = of_block.measure([Member(request(python=str(script), **changes), tmp_path / "log")])
        return run

    return measured


def test_the_measuring_process_is_pinned_to_the_cores_and_the_record_says_so(worker):
    core = max(os.sched_getaffinity(0))
    run = worker(cores=(core,))
    assert (run["cores"], run["reason"]) == (str(core), f"[{core}]")


def test_without_cores_it_may_run_anywhere(worker):
    run = worker()
    assert (run["cores"], run["reason"]) == (None, str(sorted(os.sched_getaffinity(0))))


def test_several_cores_are_recorded_as_they_were_asked_for(worker, monkeypatch):
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    assert worker(cores=(0, 5, 3))["cores"] == "0,5,3"


@pytest.mark.parametrize(("at_start", "during"), [(1.0, 0.0), (0.0, 1.0), (None, 1.0)])
def test_a_run_beside_others_is_flagged_and_keeps_its_other_flags(worker, monkeypatch, at_start, during):
    monkeypatch.setattr(cpu, "busy_cores_now", lambda: at_start)
    monkeypatch.setattr(cpu, "others", lambda *_: {"others_cpu_cores": during, "steal_share": 0.1})
    run = worker()
    assert run["flags"] == ["warmup_not_converged", "busy_machine"]
    assert (run["busy_at_start_cores"], run["others_cpu_cores"], run["steal_share"]) == (at_start, during, 0.1)


def test_where_the_system_shows_nothing_there_are_nulls_and_no_flag(worker, monkeypatch):
    monkeypatch.setattr(cpu, "usage", lambda: None)
    monkeypatch.setattr(cpu, "mhz", lambda: None)
    run = worker()
    fields = ("busy_at_start_cores", "others_cpu_cores", "steal_share", "cpu_mhz")
    assert [run[name] for name in fields] == [None] * 4
    assert run["flags"] == ["warmup_not_converged"]


def test_a_run_that_is_stopped_is_watched_too(worker, monkeypatch):
    monkeypatch.setattr(cpu, "others", lambda *_: {"others_cpu_cores": 1.5, "steal_share": 0.0})
    run = worker(sleep_s=60, timeout_s=0.2)
    assert (run["status"], run["others_cpu_cores"], run["flags"]) == ("timeout", 1.5, ["busy_machine"])


def test_record_names_the_version_that_measured(worker):
    assert worker()["framebench_version"] == __version__
    refused = worker(refused="no such GPU")
    assert (refused["status"], refused["framebench_version"]) == ("failed", __version__)


def test_version_is_known_where_there_is_no_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert supervisor.revision() == {"framebench_version": __version__}


def test_version_is_known_outside_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(supervisor, "__file__", str(tmp_path / "supervisor.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert supervisor.revision() == {"framebench_version": __version__}


def test_frequencies_are_read_while_the_process_computes(worker, monkeypatch):
    monkeypatch.setattr(process, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(cpu, "mhz", lambda: 2600.0)
    assert worker(sleep_s=0.1)["cpu_mhz"] == 2600.0


def test_the_frequency_of_a_run_is_that_of_its_blocks_only():
    blocks = [{"t0_ns": 100, "t1_ns": 200, "steps": 1}, {"t0_ns": 210, "t1_ns": 300, "steps": 1}]
    readings = [(50, 9000.0), (100, 2000.0), (205, 2500.0), (300, 3000.0), (301, 9000.0)]
    assert supervisor.mean_within(readings, blocks) == 2500.0
    assert supervisor.mean_within(readings[:1], blocks) is None
    assert supervisor.mean_within(readings, None) is None
    assert supervisor.mean_within(readings, []) is None


@pytest.fixture
def command_line(worker, tmp_path, monkeypatch):
    """Runs the command that measures a block, of these frameworks with WORKER; their records."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(command, "die_with", lambda parent: None)

    def run(*frameworks: str, round: int = 1, **of_member: object) -> list[dict]:
        worker()  # which writes its script
        interpreter = {"python": str(tmp_path / "python"), "environment": sys.prefix, "lock_digest": "0"}
        asked = [{"framework": name, "track": "default", **interpreter, **of_member} for name in frameworks]
        outputs = [tmp_path / name / f"round-{round}.json" for name in frameworks]
        cell = vars(request(device="device-of-the-test").cell)
        values = {name: cell[name] for name in ("device", "workload", "precision", "input", "batch_size")} | {
            "protocol": json.dumps(asdict(PROTOCOL)),
            "round": round,
            "members": json.dumps(asked),
            "order": json.dumps(list(range(len(frameworks), 0, -1))),
            "planned": tmp_path / "planned.json",
            "data": "none.npz",
            "parent": os.getppid(),
        }
        options = [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        logs = [str(tmp_path / f"{name}.log") for name in frameworks]
        options += ["--logs", *logs, "--outputs", *map(str, outputs)]
        monkeypatch.setattr(sys, "argv", ["measure", *options])
        measure.main()
        return [json.loads(output.read_text()) for output in outputs]

    return run


def test_a_busy_machine_is_said_once_after_the_runs(command_line, monkeypatch, capsys):
    monkeypatch.setattr(cpu, "busy_cores_now", lambda: 0.5)
    monkeypatch.setattr(cpu, "others", lambda *_: {"others_cpu_cores": 1.25, "steal_share": 0.0})
    runs = command_line("pytorch", "tensorflow")
    said = "other processes kept 1.25 cores busy during these runs and 0.50 just before them"
    assert capsys.readouterr().err.count(f"    busy machine: {said}\n") == 1
    assert [run["flags"][-1] for run in runs] == ["busy_machine"] * 2


def test_each_record_is_written_where_it_was_asked_for_whatever_the_order(command_line, capsys):
    runs = command_line("pytorch", "tensorflow", "keras-tensorflow")
    assert [run["framework"] for run in runs] == ["pytorch", "tensorflow", "keras-tensorflow"]
    assert [run["order"] for run in runs] == [3, 2, 1]
    assert {run["round_s"] for run in runs} == {runs[0]["round_s"]}
    said = capsys.readouterr().err
    assert all(f"    {run['framework']} default: failed: {run['reason']} (log: " in said for run in runs)


def test_a_framework_whose_interpreter_is_not_there_has_a_record_too(command_line, tmp_path):
    (run,) = command_line("pytorch", python=str(tmp_path / "none"))
    assert run["status"] == "failed"


@pytest.mark.parametrize(("round", "diagnosed"), [(1, True), (2, False), (3, False)])
def test_only_the_first_rounds_are_diagnosed(round, diagnosed, tmp_path):
    told = {
        **vars(request().cell),
        "members": [
            {"framework": "pytorch", "track": "default", "python": "p", "environment": "e", "lock_digest": "0"}
        ],
        "outputs": [tmp_path / f"round-{round}.json"],
        "logs": [tmp_path / "log"],
        **{"order": [1], "protocol": PROTOCOL, "round": round, "data": "d", "uuid": None},
    }
    assert measure.member(told, 0).request.diagnosis == diagnosed


def test_the_memory_that_a_run_takes_is_known_from_the_other_rounds(tmp_path):
    assert measure.peak_before(tmp_path / "round-1.json") is None
    for round, mib in enumerate([300.0, 500.0, None], start=1):
        (tmp_path / f"round-{round}.json").write_text(json.dumps({"host_rss_peak_mib": mib}))
    assert measure.peak_before(tmp_path / "round-4.json") == 500.0
