"""A run on an NVIDIA GPU, with the stand-in for its driver: real commands, the real pynvml, and the worker itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

import standin
from conftest import PROJECT, TINY, Workspace, install_cpu_builds_for_cuda
from framebench.plan import environments
from requested import PROTOCOL
from standin import MIG_UUIDS, UUIDS

pytestmark = pytest.mark.all

Start = Callable[..., subprocess.Popen[str]]


def record_in(folder: Path, name: str) -> Path:
    """The workflow's path for the record of such a run."""
    return folder.joinpath(
        "runs", name, "article-cnn", "pytorch", "default", "float32", "device", "batch-32", "round-1.json"
    )


@pytest.fixture
def start(stand_in, tmp_path) -> Start:
    """Starts one run on the first card, its record at `record_in(tmp_path, name)`.

    In an environment without a framework, unless `prefix` is one's: the measuring process then fails at its import.
    """
    data = tmp_path / "data.npz"

    def started(name="h200", uuid=UUIDS[0], prefix=sys.prefix, environment=None, **protocol) -> subprocess.Popen[str]:
        protocol = asdict(PROTOCOL) | TINY["protocol"] | protocol
        member = {
            "framework": "pytorch",
            "track": "default",
            "python": str(Path(prefix, "bin", "python")),
            "environment": str(prefix),
            "lock_digest": "0",
            "site": False,
            "certificate": "0",
        }
        options = {
            "device": name,
            "uuid": uuid,
            "workload": "article-cnn",
            "precision": "float32",
            "input": "device",
            "batch-size": 32,
            "round": 1,
            "members": json.dumps([member]),
            "order": "[1]",
            "planned": tmp_path / "planned.json",
            "protocol": json.dumps(protocol),
            "data": data,
            "logs": tmp_path / f"{name}.log",
            "outputs": record_in(tmp_path, name),
        }
        words = [str(word) for option, value in options.items() for word in (f"--{option}", value)]
        environment = environment or stand_in.environment
        return subprocess.Popen(
            [Path(prefix, "bin", "python"), "-P", "-m", "framebench.measure", *words],
            env=environment | {"PYTHONPATH": str(PROJECT / "workflow"), "TMPDIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    return started


@pytest.fixture
def measure(start: Start, tmp_path) -> Callable[..., tuple[dict, str]]:
    """One complete run: its record and its output."""

    def measured(**options) -> tuple[dict, str]:
        process = start(**options)
        _, said = process.communicate()
        assert process.returncode == 0, said
        return json.loads(record_in(tmp_path, "h200").read_text(encoding="utf-8")), said

    return measured


def test_a_record_tells_the_card_and_that_it_was_none(measure):
    record, _ = measure()
    for name, value in {
        "device": "h200",
        "device_name": "NVIDIA H200",
        "device_uuid": UUIDS[0],
        "device_pci_bus_id": "00000000:18:00.0",
        "driver_version": "999.1",
        "gpu_memory_total_mib": 140 * 1024,
        "gpu_power_limit_w": 700,
        "gpu_max_sm_mhz": 1980,
        "gpu_max_memory_mhz": 3201,
        "gpu_ecc": True,
        "gpu_mig": False,
    }.items():
        assert record[name] == value, name
    assert "stand_in" in record["flags"]
    assert "other_process_on_gpu" not in record["flags"]


def test_a_fact_that_the_card_does_not_tell_is_null(measure, stand_in):
    stand_in.fault("nvmlDeviceGetEccMode", standin.NOT_SUPPORTED)
    stand_in.fault("nvmlDeviceGetEnforcedPowerLimit", standin.FUNCTION_NOT_FOUND)
    record, _ = measure()
    assert (record["gpu_ecc"], record["gpu_power_limit_w"], record["device_uuid"]) == (None, None, UUIDS[0])
    assert {"gpu_ecc": "nvmlDeviceGetEccMode: Not Supported"}.items() <= json.loads(record["gpu_unknown"]).items()


@pytest.mark.usefixtures("installed")
def test_a_run_to_which_cuda_shows_another_card_fails_and_names_both(measure, stand_in):
    stand_in.cards[0].cuda_uuid = UUIDS[1].encode()
    prefix = PROJECT / environments.prefix(environments.lock_of("pytorch", "cpu"))
    record, _ = measure(prefix=prefix)
    assert record["status"] == "failed"
    assert all(uuid.partition("-")[2] in record["reason"] for uuid in UUIDS)
    assert record["build_s"] is None


def test_another_process_on_the_card_before_the_run_is_flagged_and_said(start, stand_in, tmp_path):
    stand_in.show_processes(0, {4001: standin.UNKNOWN_BYTES})
    process = start()
    until(lambda: stand_in.calls("nvmlShutdown"))  # queries before the run have been answered
    stand_in.show_processes(0, {})
    _, said = process.communicate()
    assert "other_process_on_gpu" in json.loads(record_in(tmp_path, "h200").read_text(encoding="utf-8"))["flags"]
    assert f"another process computed on {UUIDS[0]}" in said


def test_another_process_on_the_card_after_the_run_is_flagged(start, stand_in, tmp_path):
    process = start()
    until(lambda: stand_in.calls("nvmlShutdown"))
    stand_in.show_processes(0, {4001: standin.GIB})
    process.communicate()
    assert "other_process_on_gpu" in json.loads(record_in(tmp_path, "h200").read_text(encoding="utf-8"))["flags"]


def test_a_run_waits_for_the_end_of_other_processes_where_it_is_asked_to(start, stand_in, tmp_path):
    stand_in.show_processes(0, {4001: standin.GIB})
    process = start(other_processes="wait")
    assert process.stderr.readline() == f"waiting: other processes compute on {UUIDS[0]}\n"
    stand_in.show_processes(0, {})
    _, said = process.communicate()
    assert "no longer waiting" not in said
    assert "other_process_on_gpu" not in json.loads(record_in(tmp_path, "h200").read_text(encoding="utf-8"))["flags"]


def test_a_run_that_has_waited_for_its_timeout_is_made_and_flagged(start, stand_in, tmp_path):
    stand_in.show_processes(0, {4001: standin.GIB})
    _, said = start(other_processes="wait", timeout_s=0.5).communicate()
    assert f"no longer waiting for {UUIDS[0]} after 0.5 s" in said
    assert "other_process_on_gpu" in json.loads(record_in(tmp_path, "h200").read_text(encoding="utf-8"))["flags"]


def test_a_process_on_the_other_card_is_no_matter(measure, stand_in):
    stand_in.show_processes(1, {4001: standin.GIB})
    record, _ = measure()
    assert "other_process_on_gpu" not in record["flags"]


def test_a_card_that_is_gone_fails_the_run_and_says_what_to_do(measure):
    gone = "GPU-00000000-0000-4000-8000-000000000000"
    record, _ = measure(uuid=gone)
    assert (record["status"], record["device_uuid"], record["device_name"]) == ("failed", gone, None)
    assert f"{gone} is not on this machine, which has {UUIDS[1]} (NVIDIA L4), {UUIDS[0]}" in record["reason"]
    assert "delete devices.json" in record["reason"]
    assert set(record["flags"]) - {"busy_machine"} == {"stand_in"}


def test_a_host_without_driver_fails_the_run_and_says_so(measure, stand_in_libraries):
    record, _ = measure(environment=standin.without_driver(stand_in_libraries))
    assert record["status"] == "failed"
    assert "no driver is loaded; measure where it is" in record["reason"]


def test_a_card_that_is_lost_during_the_run_fails_it(start, stand_in, tmp_path):
    process = start()
    until(lambda: stand_in.calls("nvmlShutdown"))
    for function in ("nvmlDeviceGetHandleByUUID", "nvmlDeviceGetHandleByIndex_v2"):
        stand_in.fault(function, standin.GPU_IS_LOST, card=0)
    process.communicate()
    record = json.loads(record_in(tmp_path, "h200").read_text(encoding="utf-8"))
    assert (record["status"], record["device_name"]) == ("failed", "NVIDIA H200")
    assert f"{UUIDS[0]} is lost" in record["reason"]


def test_two_runs_on_one_card_wait_for_each_other_also_if_the_first_is_killed(start, stand_in, tmp_path):
    stand_in.fault("nvmlDeviceGetEccMode", delay_ms=60_000, times=1)
    first = start(name="h200")
    until(lambda: stand_in.calls("nvmlDeviceGetEccMode"))
    second = start(name="big")
    waiting = second.stderr.readline()
    assert waiting.startswith(f"waiting: another measurement is running on {UUIDS[0]}")
    first.kill()
    first.communicate()
    second.communicate()
    assert not record_in(tmp_path, "h200").exists()
    assert json.loads(record_in(tmp_path, "big").read_text(encoding="utf-8"))["device_uuid"] == UUIDS[0]


def test_runs_on_two_cards_do_not_wait_for_each_other(start, stand_in, tmp_path):
    stand_in.fault("nvmlDeviceGetEccMode", delay_ms=60_000, times=1, card=0)
    first = start(name="h200")
    until(lambda: stand_in.calls("nvmlDeviceGetEccMode"))
    _, said = start(name="l4", uuid=UUIDS[1]).communicate()
    first.kill()
    first.communicate()
    assert "waiting" not in said
    assert json.loads(record_in(tmp_path, "l4").read_text(encoding="utf-8"))["device_uuid"] == UUIDS[1]


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.01)


@pytest.fixture
def on_gpus(stand_in, monkeypatch) -> standin.StandIn:
    """The two cards for all that a workspace runs."""
    for name, value in stand_in.environment.items():
        monkeypatch.setenv(name, value)
    return stand_in


# test_devices checks every message, in process; here, Snakemake asks the driver and reports the result.
def test_a_device_that_cannot_be_had_is_refused_before_anything_is_planned(workspace, on_gpus):
    workspace.configure(devices=["cpu", "a100"])
    message = f"devices[1]: 'a100' is not on this machine, which has {UUIDS[1]} (NVIDIA L4), {UUIDS[0]} "
    assert refused(workspace).startswith(f"config.yaml: {message}")


def test_a_card_with_mig_on_is_refused_and_its_mig_device_is_not(workspace, on_gpus):
    on_gpus.cards[0].mig, on_gpus.cards[0].mig_uuid = 1, MIG_UUIDS[0].encode()
    workspace.configure(devices=["h200"])
    told = refused(workspace)
    assert told.startswith(f"config.yaml: devices[0]: MIG is on on {UUIDS[0]} (NVIDIA H200)")
    assert told.endswith(MIG_UUIDS[0])
    workspace.configure(devices={"slice": {"uuid": MIG_UUIDS[0]}})
    plan = workspace.plan()
    assert plan.measuring
    # The packages are those for the card, and no file of the driver is asked, which WSL2 lacks:
    # github.com/NVIDIA/nvidia-container-toolkit/issues/271.
    assert {
        lock for path in plan.outputs for lock in ("-cpu-", "-cuda-") if path.startswith(".venvs/") and lock in path
    } == {"-cuda-"}


def test_a_gpu_is_refused_where_only_packages_for_the_cpu_are_installed(workspace, on_gpus):
    workspace.configure(devices=["h200"], packages="cpu")
    assert refused(workspace) == (
        "config.yaml: packages: 'cpu' cannot use the GPU 'h200' of devices; allowed: auto, cuda"
    )


def test_a_driver_too_old_for_the_packages_is_refused_before_they_are_installed(workspace, on_gpus, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    on_gpus.state.cuda_version = 12_040
    workspace.configure(devices=["h200"], frameworks=["pytorch"], question=None, baseline="pytorch")
    result = workspace.snakemake()
    assert result.returncode == 1
    assert "needs NVIDIA's driver 580.65.06 or newer, and here is 999.1, for CUDA up to 12.4" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((workspace.folder / ".venvs").glob("pytorch-cuda-*"))


def test_a_gpu_named_where_there_is_no_driver_is_refused(workspace, stand_in_libraries, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stand_in_libraries))
    workspace.configure(devices=["h200"])
    assert refused(workspace) == (
        "config.yaml: devices[0]: 'h200' is an NVIDIA GPU, and none can be seen here: "
        "libnvidia-ml.so.1 is there, but no driver is loaded"
    )


def test_where_a_driver_does_not_answer_auto_does_not_take_the_cpu(workspace, on_gpus):
    on_gpus.fault("nvmlInitWithFlags", standin.LIBRARY_MISMATCH)
    workspace.configure(devices="auto")
    assert refused(workspace).startswith("config.yaml: devices: auto cannot see which NVIDIA GPUs there are: ")


def test_for_the_cpu_alone_the_driver_is_not_asked(workspace, on_gpus):
    assert workspace.plan().measuring
    assert on_gpus.calls("nvmlInitWithFlags") == 0


def refused(workspace: Workspace) -> str:
    """The one line by which Snakemake refuses a configuration."""
    result = workspace.snakemake("-n")
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Using workflow", "Config file"))]
    assert len(lines) == 1, result.stderr
    assert not (workspace.folder / "results").exists()
    return lines[0]


@pytest.mark.usefixtures("installed")
def test_the_devices_are_chosen_once_and_every_run_gets_its_own(certified_workspace, stand_in, monkeypatch):
    workspace = certified_workspace
    install_cpu_builds_for_cuda(workspace.folder)
    with monkeypatch.context() as here:
        for name, value in stand_in.environment.items():
            here.setenv(name, value)
        workspace.configure(devices="auto", frameworks=["pytorch"], question=None, baseline="pytorch")
        verdicts = [f"results/verdict.{language}.txt" for language in ("en", "ko")]
        timeline = "results/figures/en/timeline-l4.svg"
        result = workspace.snakemake("results/.complete", timeline, *verdicts)
    kept = json.loads((workspace.folder / "results" / "devices.json").read_text(encoding="utf-8"))
    assert {name: device["uuid"] for name, device in kept["devices"].items()} == {"h200": UUIDS[0], "l4": UUIDS[1]}
    records = [json.loads(path.read_text(encoding="utf-8")) for path in workspace.records()]
    assert {record["device"]: record["device_uuid"] for record in records} == {"h200": UUIDS[0], "l4": UUIDS[1]}, (
        result.stderr
    )
    idle = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in workspace.folder.glob("results/idle/*")}
    assert {record["device_uuid"]: record["power_idle_unix_s"] for record in records} == {
        uuid: one["unix_s"] for uuid, one in idle.items()
    }
    for language, words in {"en": "a stand-in for the NVIDIA driver", "ko": "테스트용 대역"}.items():
        verdict = workspace.folder / "results" / f"verdict.{language}.txt"
        assert words.replace(" ", "") in verdict.read_text(encoding="utf-8").replace("\n", "").replace(" ", "")
    assert (workspace.folder / timeline).exists()
    # Without the cards, as on another host: the same devices, and nothing to measure except the failed runs.
    assert "FRAMEBENCH_STAND_IN" not in os.environ
    assert set(workspace.plan().runs) <= {"pytorch"}
    assert (workspace.folder / "results" / "devices.json").read_text(encoding="utf-8") == json.dumps(kept, indent=1)
