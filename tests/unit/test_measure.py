"""The supervisor: its observations of the machine while the measuring process lives, and the record from them."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict

import pytest

from framebench import __version__, revision
from framebench.measure import __main__ as measure
from framebench.measure import command, process, supervisor
from framebench.measure import round as of_block
from framebench.measure.devices import cgroup, cpu
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
        script.write_text(WORKER.format(python=sys.executable, sleep_s=sleep_s), encoding="utf-8")
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


def git(folder, *arguments):
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


def commit(folder):
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "first")


def reason(folder):
    version = revision.revision(folder)
    assert set(version) == {"framebench_version", "git_commit_reason"}
    return version["git_commit_reason"]


def test_version_is_known_where_there_is_no_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git" in reason(tmp_path)


def test_outside_a_checkout_the_reason_is_gits_own(tmp_path):
    assert reason(tmp_path).startswith("fatal: not a git repository")


def test_the_commit_is_that_of_the_project_whatever_a_hook_says(monkeypatch, tmp_path):
    for name in ("project", "other"):
        (tmp_path / name).mkdir()
        commit(tmp_path / name)
    expected = revision.revision(tmp_path / "project")
    assert len(expected["git_commit"]) == 40 and expected["git_dirty"] is False
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert revision.revision(tmp_path / "project") == expected


def test_a_repository_around_the_project_has_no_commit_of_its(tmp_path):
    """casperdcl/git-fame#81: an export of the project within another repository."""
    commit(tmp_path)
    (tmp_path / "project").mkdir()
    assert reason(tmp_path / "project") == "the folder of the project is not the top of a Git repository"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_checkout_of_another_user_has_no_commit_and_says_why(monkeypatch, tmp_path):
    """pangenome/pggb#288"""
    commit(tmp_path)
    os.chown(tmp_path, 12345, 12345)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "dubious ownership" in reason(tmp_path)


def test_a_repository_without_a_commit_says_so(tmp_path):
    git(tmp_path, "init", "--quiet")
    assert reason(tmp_path).startswith("fatal:")


def test_a_quota_that_holds_a_run_back_is_a_flag_and_a_number(worker, monkeypatch):
    """llmmanorg/llmman#322: with half a core, nothing else was busy, and nothing said why it was slow."""
    readings = iter([10.0, 10.5])
    monkeypatch.setattr(cpu, "usage", lambda: None)
    monkeypatch.setattr(cgroup, "throttled_s", lambda: next(readings))
    run = worker()
    assert run["throttled_s"] == 0.5
    assert run["flags"] == ["warmup_not_converged", "cpu_throttled"]


def test_a_quota_that_holds_nothing_back_is_none(worker, monkeypatch):
    monkeypatch.setattr(cgroup, "throttled_s", lambda: 10.0)
    monkeypatch.setattr(cpu, "usage", lambda: None)
    run = worker()
    assert (run["throttled_s"], run["flags"]) == (0.0, ["warmup_not_converged"])


def test_variables_from_outside_are_on_record(worker, monkeypatch, tmp_path):
    """tensorflow/docs#2251, jax-ml/jax#16038: another library was loaded, and nothing said so."""
    assert worker()["inherited_variables"] is None
    (tmp_path / "libcuda.so.1").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/other:{tmp_path}")
    assert json.loads(worker()["inherited_variables"]) == {"LD_LIBRARY_PATH": str(tmp_path)}


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
        return [json.loads(output.read_text(encoding="utf-8")) for output in outputs]

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
        **{"order": [1], "protocol": PROTOCOL, "round": round, "data": "d", "uuid": None, "idle": None},
    }
    assert measure.member(told, 0).request.diagnosis == diagnosed


def test_the_memory_that_a_run_takes_is_known_from_the_other_rounds(tmp_path):
    assert measure.peak_before(tmp_path / "round-1.json") is None
    for round, mib in enumerate([300.0, 500.0, None], start=1):
        (tmp_path / f"round-{round}.json").write_text(json.dumps({"host_rss_peak_mib": mib}), encoding="utf-8")
    assert measure.peak_before(tmp_path / "round-4.json") == 500.0
