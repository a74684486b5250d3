"""A run on a GPU: sampled from before its measuring process to after it, and failed where the card is lost."""

import json
import subprocess
import sys
import time

import pytest

import standin
from framebench.measure.devices import samples, sampling
from framebench.plan import catalogue
from requested import request

pytestmark = pytest.mark.check

# In place of the interpreter: takes its turns, and "trains" one block for so long.
INTERPRETER = """#!{python}
import json, os, sys, time
told = os.fdopen(int(sys.argv[-3]), "w")
for state in ("built", "warm"):
    print(state, file=told, flush=True)
    sys.stdin.readline()
t0_ns = time.perf_counter_ns()
time.sleep({sleep_s})
block = {{"t0_ns": t0_ns, "t1_ns": time.perf_counter_ns(), "steps": 5}}
print("timed", file=told, flush=True)
sys.stdin.readline()
json.dump({{"status": "ok", "flags": ["of the worker"], "blocks": [block]}}, open(sys.argv[-2], "w"))
"""
# In a process of its own, for NVML is loaded once.
SUPERVISE = """
import json, sys
from pathlib import Path
from framebench.measure import round
from framebench.measure.supervisor import Member
from framebench.measure.request import Request
from framebench.measure.devices import cpu, samples
from framebench.measure.devices.idle import Idle
cpu.MOMENT_S, samples.MIN_ENERGY_S = 0.0, 0.2
folder, request = Path({folder!r}), Request.from_json({request!r})
idle = Idle(request.uuid, 1.5e9, 71.5, None) if request.uuid else None
(run,) = round.measure([Member(request, folder / "log", folder / "round-1.npz", idle=idle)])
print(json.dumps(run))
"""


@pytest.fixture
def supervise(stand_in, tmp_path):
    """Supervises a worker that sleeps for so long; on a GPU of the stand-in, or on none."""

    def run(sleep_s: float = 0.5, uuid: str | None = None, timeout_s: float = 60) -> dict:
        script = tmp_path / "python"
        script.write_text(INTERPRETER.format(python=sys.executable, sleep_s=sleep_s), encoding="utf-8")
        script.chmod(0o755)
        asked = request(
            device="h200" if uuid else "cpu", uuid=uuid, sampler_hz=50, timeout_s=timeout_s, python=str(script)
        )
        return json.loads(stand_in.child(SUPERVISE.format(folder=str(tmp_path), request=asked.to_json())))

    return run


def test_a_run_on_a_gpu_has_memory_power_and_energy_and_its_samples_in_a_file(supervise, stand_in, tmp_path):
    card = stand_in.cards[0]
    card.memory_used_bytes, card.energy_since_ns, card.throttle_reasons = 3 * standin.GIB, 1, 0x8
    run = supervise(uuid=standin.UUIDS[0])
    assert (run["status"], run["gpu_baseline_mib"], run["gpu_peak_delta_mib"]) == ("ok", 3072, 0)
    assert (run["energy_source"], run["energy_reason"], run["sampler_hz"]) == ("counter", None, 50)
    assert run["images_per_j"] * run["energy_j"] == pytest.approx(5 * 32)
    assert (run["power_idle_w"], run["power_idle_unix_s"], run["power_mean_w"]) == (71.5, 1.5e9, pytest.approx(120))
    assert run["throttle_reasons"] == "hw_slowdown"
    assert run["flags"][:2] == ["of the worker", "throttled"]
    seen = samples.load(tmp_path / "round-1.npz")
    (block,) = run["blocks"]
    assert seen.t_ns[0] < block["t0_ns"] < block["t1_ns"] < seen.t_ns[-1]


def test_when_the_gpu_is_lost_the_run_ends_failed_and_its_samples_are_kept(supervise, stand_in, tmp_path):
    stand_in.fault("nvmlDeviceGetTemperature", standin.GPU_IS_LOST, after=15)
    run = supervise(sleep_s=600, uuid=standin.UUIDS[0], timeout_s=300)
    reason = "sampling of the GPU ended: nvmlDeviceGetTemperature: GPU is lost"
    assert (run["status"], run["reason"], run["gpu_baseline_mib"]) == ("failed", reason, 0)
    seen = samples.load(tmp_path / "round-1.npz")
    assert (seen.ended, len(seen.t_ns)) == ("nvmlDeviceGetTemperature: GPU is lost", 14)


@pytest.mark.parametrize(
    "kind", ["WSL2", "vGPU that answers", "driver that answers -1", "unified memory", "driver 450"]
)
def test_a_run_on_a_card_of_another_kind_is_measured_and_says_why_it_knows_less(supervise, stand_in, kind):
    stand_in.become(kind)
    run = supervise(sleep_s=0.3, uuid=standin.UUIDS[0])
    assert (run["status"], run["reason"]) == ("ok", None)
    unknown = json.loads(run["gpu_unknown"])
    fields = {name for name in run if name.startswith(("gpu_", "power_")) or name in samples.OF_COLUMN}
    fields |= {"device_name", "device_pci_bus_id", "driver_version"}
    missing = {name for name in fields if run[name] is None} - {"gpu_unknown"}
    assert missing - {"gpu_memory_source"} == set(unknown) - {"other_process_on_gpu"}
    assert all(unknown.values())
    assert ("other_process_on_gpu" in unknown) == (kind == "WSL2")
    assert (run["energy_j"] is None) == (run["energy_reason"] is not None)


def test_a_driver_that_hangs_ends_the_job_of_a_run_in_a_line(stand_in, tmp_path):
    """Its timeout is that of the measuring process: github.com/NVIDIA/open-gpu-kernel-modules/issues/971."""
    stand_in.fault("nvmlDeviceGetName", delay_ms=20_000)
    asked = request(device="h200", uuid=standin.UUIDS[0], python=sys.executable)
    hasty = "from framebench.measure.devices import nvml; nvml.ANSWER_S = 1"
    with pytest.raises(AssertionError, match=r"^the NVIDIA driver does not answer within 1 s"):
        stand_in.child(f"{hasty}{SUPERVISE.format(folder=str(tmp_path), request=asked.to_json())}")


def test_a_worker_that_is_listed_under_another_id_is_no_other_process_once_it_has_gone(stand_in):
    """The driver may list it for a moment after its end: github.com/NVIDIA/nvidia-docker/issues/179."""
    code = f"""
import json
from framebench.measure import supervisor
with supervisor.nvml.session(): print(json.dumps(supervisor.others({standin.UUIDS[0]!r}, ended=42)))
"""
    stand_in.show_processes(0, {42: standin.GIB, 70042: standin.GIB})
    asked = subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        env=stand_in.environment | {"PYTHONPATH": str(catalogue.ROOT / "workflow")},
        stdout=subprocess.PIPE,
    )
    while not stand_in.calls("nvmlDeviceGetComputeRunningProcesses_v3"):
        time.sleep(0.005)
    stand_in.show_processes(0, {})
    assert json.loads(asked.communicate()[0]) == [[], ""]
    stand_in.show_processes(0, {42: standin.GIB, 4001: standin.GIB})
    assert json.loads(stand_in.child(code)) == [[4001], ""]


def test_waiting_for_other_processes_says_where_the_driver_does_not_tell_them(stand_in):
    """Such drivers: github.com/NVIDIA/k8s-device-plugin/issues/331."""
    for function in standin.PROCESS_LISTS:
        stand_in.fault(function, standin.FUNCTION_NOT_FOUND)
    code = f"""
import contextlib, sys
from framebench.measure import supervisor
with contextlib.redirect_stderr(sys.stdout):
    supervisor.wait_for_others({standin.UUIDS[0]!r}, 60)
"""
    told = f"not waiting: it is not known which processes compute on {standin.UUIDS[0]}: nvmlDeviceGetComputeRunning"
    assert stand_in.child(code).startswith(told)


def test_a_run_that_is_stopped_keeps_its_samples(supervise, tmp_path):
    run = supervise(sleep_s=600, uuid=standin.UUIDS[0], timeout_s=0.2)
    assert (run["status"], run["energy_reason"]) == ("timeout", "no block was timed")
    assert len(samples.load(tmp_path / "round-1.npz").t_ns)


def test_a_run_on_a_cpu_is_not_sampled(supervise, stand_in, tmp_path):
    run = supervise()
    assert (run["status"], run["sampler_hz"], run["energy_reason"]) == ("ok", None, None)
    assert not (tmp_path / "round-1.npz").exists()
    assert stand_in.calls("nvmlInitWithFlags") == 0


def test_a_sampler_that_hangs_is_killed_and_what_it_sampled_is_kept(stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "ANSWER_S", 1.0)
    for name, value in (stand_in.environment | {"PYTHONPATH": str(catalogue.ROOT / "workflow")}).items():
        monkeypatch.setenv(name, value)
    stand_in.fault("nvmlDeviceGetTemperature", after=4, delay_ms=600_000)
    with sampling.Sampling(standin.UUIDS[0], 50, None, tmp_path / "lines") as one:
        while stand_in.calls("nvmlDeviceGetTemperature") < 5:
            time.sleep(0.01)
        seen = one.stop()
    assert (seen.ended, len(seen.t_ns)) == (samples.NO_END, 3)
