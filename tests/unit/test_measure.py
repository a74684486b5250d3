"""The supervisor: what it sees of the machine while the measuring process lives, and what it makes of it."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict

import pytest

from framebench import __version__
from framebench.measure import __main__ as measure
from framebench.measure import command, supervisor
from framebench.measure.devices import cpu
from requested import PROTOCOL, request

pytestmark = pytest.mark.check

PYTHON = sys.executable
# Stands in for the framework's interpreter: "measures" and leaves its own affinity where the reason is expected.
WORKER = """#!{python}
import json, os, sys, time
block = {{"t0_ns": time.perf_counter_ns(), "t1_ns": time.perf_counter_ns() + 10**12, "steps": 1}}
seen = {{"status": "failed", "reason": str(sorted(os.sched_getaffinity(0))), "flags": ["warmup_not_converged"]}}
time.sleep({sleep_s})
json.dump(seen | {{"blocks": [block]}}, open(sys.argv[-2], "w"))
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Makes `supervise` start WORKER, which sleeps for so long."""

    def install(sleep_s: float = 0.0) -> None:
        script = tmp_path / "python"
        script.write_text(WORKER.format(python=PYTHON, sleep_s=sleep_s))
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    monkeypatch.setattr(cpu, "MOMENT_S", 0.0)
    install()
    return install


def test_the_measuring_process_is_pinned_to_the_cores_and_the_record_says_so(worker, tmp_path):
    core = max(os.sched_getaffinity(0))
    run = supervisor.supervise(request(cores=(core,)), tmp_path / "log")
    assert (run["cores"], run["reason"]) == (str(core), f"[{core}]")


def test_without_cores_it_may_run_anywhere(worker, tmp_path):
    run = supervisor.supervise(request(), tmp_path / "log")
    assert (run["cores"], run["reason"]) == (None, str(sorted(os.sched_getaffinity(0))))


def test_several_cores_are_recorded_as_they_were_asked_for(worker, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    assert supervisor.supervise(request(cores=(0, 5, 3)), tmp_path / "log")["cores"] == "0,5,3"


@pytest.mark.parametrize(("at_start", "during"), [(1.0, 0.0), (0.0, 1.0), (None, 1.0)])
def test_a_run_beside_others_is_flagged_and_keeps_its_other_flags(worker, tmp_path, monkeypatch, at_start, during):
    monkeypatch.setattr(cpu, "busy_cores_now", lambda: at_start)
    monkeypatch.setattr(cpu, "others", lambda *_: {"others_cpu_cores": during, "steal_share": 0.1})
    run = supervisor.supervise(request(), tmp_path / "log")
    assert run["flags"] == ["warmup_not_converged", "busy_machine"]
    assert (run["busy_at_start_cores"], run["others_cpu_cores"], run["steal_share"]) == (at_start, during, 0.1)


def test_where_the_system_shows_nothing_there_are_nulls_and_no_flag(worker, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "usage", lambda: None)
    monkeypatch.setattr(cpu, "mhz", lambda: None)
    run = supervisor.supervise(request(), tmp_path / "log")
    fields = ("busy_at_start_cores", "others_cpu_cores", "steal_share", "cpu_mhz")
    assert [run[name] for name in fields] == [None] * 4
    assert run["flags"] == ["warmup_not_converged"]


def test_a_run_that_is_stopped_is_watched_too(worker, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "others", lambda *_: {"others_cpu_cores": 1.5, "steal_share": 0.0})
    worker(sleep_s=60)
    run = supervisor.supervise(request(timeout_s=0.2), tmp_path / "log")
    assert (run["status"], run["others_cpu_cores"], run["flags"]) == ("timeout", 1.5, ["busy_machine"])


def test_record_names_the_version_that_measured(worker, tmp_path):
    assert supervisor.supervise(request(), tmp_path / "log")["framebench_version"] == __version__
    refused = supervisor.supervise(request(refused="no such GPU"), tmp_path / "log")
    assert (refused["status"], refused["framebench_version"]) == ("failed", __version__)


def test_version_is_known_where_there_is_no_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert supervisor.revision() == {"framebench_version": __version__}


def test_version_is_known_outside_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(supervisor, "__file__", str(tmp_path / "supervisor.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert supervisor.revision() == {"framebench_version": __version__}


def test_frequencies_are_read_while_the_process_lives(monkeypatch):
    monkeypatch.setattr(supervisor, "FREQUENCY_EVERY_S", 0.01)
    monkeypatch.setattr(cpu, "mhz", lambda: 2600.0)
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        supervisor.wait(sleeper, 0.05)
    sleeper.stdin.close()
    assert {mhz for _, mhz in supervisor.wait(sleeper, 60)} <= {2600.0}
    assert sleeper.returncode is not None


def test_the_frequency_of_a_run_is_that_of_its_blocks_only():
    blocks = [{"t0_ns": 100, "t1_ns": 200, "steps": 1}, {"t0_ns": 210, "t1_ns": 300, "steps": 1}]
    readings = [(50, 9000.0), (100, 2000.0), (205, 2500.0), (300, 3000.0), (301, 9000.0)]
    assert supervisor.mean_within(readings, blocks) == 2500.0
    assert supervisor.mean_within(readings[:1], blocks) is None
    assert supervisor.mean_within(readings, None) is None
    assert supervisor.mean_within(readings, []) is None


def test_a_busy_machine_is_said_after_the_run(worker, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cpu, "busy_cores_now", lambda: 0.5)
    monkeypatch.setattr(cpu, "others", lambda *_: {"others_cpu_cores": 1.25, "steal_share": 0.0})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    values = vars(request(device="device-of-the-test").cell) | {
        "protocol": json.dumps(asdict(PROTOCOL)),
        **dict.fromkeys(("round", "order"), 1),
        "planned": tmp_path / "planned.json",
        "data": "none.npz",
        "environment": sys.prefix,
        "lock_digest": "0",
        "parent": os.getppid(),
        "log": tmp_path / "log",
        "output": tmp_path / "round-1.json",
    }
    options = [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    monkeypatch.setattr(sys, "argv", ["measure", *options])
    monkeypatch.setattr(command, "die_with", lambda parent: None)
    measure.main()
    said = "other processes kept 1.25 cores busy during this run and 0.50 just before it"
    assert f"    busy machine: {said}\n" in capsys.readouterr().err
    assert json.loads(values["output"].read_text())["flags"][-1] == "busy_machine"
