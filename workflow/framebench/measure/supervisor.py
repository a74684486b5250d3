"""Runs one measuring process to its end, watches the machine meanwhile, and makes the record of what came of it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from statistics import mean
from typing import Any

from framebench import __version__, record
from framebench.measure.allocator import preload
from framebench.measure.devices import allocation, cpu, nvml, samples
from framebench.measure.devices.sampling import Sampling
from framebench.measure.request import Request

SHARED = "other_process_on_gpu"  # flag of a run before or after which another process computed on its card
BUSY = "busy_machine"  # flag of a run beside which the machine had more to do than cpu.BUSY_CORES
FREQUENCY_EVERY_S = 0.5
OTHERS_EVERY_S = 1.0  # how often the processes of a card are asked for while they are waited for
# What is written before a process is aborted in which memory ran out and no one caught that: by the C++ library; and by
# TensorFlow where a thread gets no stack. The second may have other causes, and counts where memory was limited: by the
# batch, which is all that differs between trials, the number of threads does not change.
BAD_ALLOC = "terminate called after throwing an instance of 'std::bad_alloc'"
NO_THREAD = "creation via pthread_create() failed"


def supervise(request: Request, log: Path, samples_path: Path | None = None) -> dict:
    """Run the worker on `request` to its end or its timeout, its output into `log`; returns the run's record.

    On a GPU, the samples of it go into the file `samples_path`, if one is named.
    """
    known = asked_for(request) | cpu.machine() | revision() | allocation.facts() | {"started_unix_s": time.time()}
    if request.refused:
        return record.record(**known, flags=stand_in(), status="failed", reason=request.refused)
    uuid, protocol = request.uuid, request.protocol
    known["device_name"] = None if uuid else known["cpu_model"]
    known["busy_at_start_cores"] = cpu.busy_cores_now()
    flags: list[str] = []
    if uuid:
        known["device_uuid"] = uuid
        try:
            with nvml.session():
                known |= described(nvml.card(uuid))
                flags += shared(uuid)
        except nvml.NvmlError as error:
            return record.record(**known, flags=stand_in(), status="failed", reason=without_card(uuid, error))
    with tempfile.TemporaryDirectory() as folder:
        asked, seen = Path(folder, "request.json"), Path(folder, "observed.json")
        asked.write_text(request.to_json())
        log.parent.mkdir(parents=True, exist_ok=True)
        # Pinned from its start: a library may make its threads when it is imported.
        with log.open("w") as output, sampling_of(request, Path(folder)) as sampling, cpu.pinned(protocol.cores):
            start, usage = time.perf_counter(), cpu.usage()
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "framebench.measure.worker", asked, seen, str(os.getpid())],
                env=environment(protocol.threads, uuid) | preload(request.tuning.get("allocator", "system")),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                frequencies = wait(worker, protocol.timeout_s, sampling)
                observed = seen_by(worker, seen, log, limited=bool(request.host_memory_mib))
                observed["cpu_mhz"] = mean_within(frequencies, observed.get("blocks"))
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
                reason = f"still running after protocol.timeout_s = {protocol.timeout_s} s"
                observed = {"status": "timeout", "reason": reason}
            known["process_s"] = time.perf_counter() - start
            if sampled := sampling and sampling.stop():
                observed |= of_gpu(sampled, observed, round(1e9 * start), worker.pid, request.cell.batch_size)
                if samples_path:
                    samples.save(samples_path, sampled)
            known |= cpu.others(usage, cpu.usage())
    if uuid:
        try:
            with nvml.session():
                flags += shared(uuid, worker.pid)
        except nvml.NvmlError as error:
            observed |= {"status": "failed", "reason": without_card(uuid, error)}
        flags += stand_in()
    if cpu.is_busy(known["busy_at_start_cores"], known.get("others_cpu_cores")):
        flags.append(BUSY)
    observed["flags"] = list(dict.fromkeys([*observed.get("flags", []), *flags]))
    return record.record(**known | observed)


def asked_for(request: Request) -> dict[str, Any]:
    """Record fields that a request has from the beginning."""
    cores = request.protocol.cores
    return {
        **vars(request.cell),
        **{name: getattr(request, name) for name in ("round", "order", "lock_digest", "certificate")},
        **{name: getattr(request.protocol, name) for name in ("seed", "threads")},
        "interpreter": "site" if request.site else "installed",
        "tuning": json.dumps(request.tuning) if request.tuning else None,
        "cores": ",".join(map(str, cores)) if cores else None,
    }


def described(card: nvml.Card) -> dict[str, object]:
    """Record fields that describe a card."""
    return {
        "device_name": card.name,
        "device_pci_bus_id": card.pci_bus_id,
        "gpu_memory_total_mib": card.memory_total_mib,
        "gpu_power_limit_w": card.power_limit_w,
        "gpu_max_sm_mhz": card.max_sm_mhz,
        "gpu_max_memory_mhz": card.max_memory_mhz,
        "gpu_ecc": card.ecc,
        "gpu_mig": card.mig,
        "driver_version": card.driver_version,
    }


def shared(uuid: str, ended: int | None = None) -> list[str]:
    """The flag that another process computes on a card now; `ended` is the id of the worker that is no more."""
    return [SHARED] * any(process.pid != ended for process in nvml.processes(uuid) or [])


def wait_for_others(uuid: str, timeout_s: float) -> None:
    """Return when no process computes on a card, or after timeout_s; says on stderr that it waits, and why no more.

    A card that cannot be asked is left to the run, which says so in its record.
    """
    end = time.monotonic() + timeout_s
    with suppress(nvml.NvmlError), nvml.session():
        if not shared(uuid):
            return
        print(f"waiting: other processes compute on {uuid}", file=sys.stderr, flush=True)
        while shared(uuid):
            if time.monotonic() >= end:
                print(f"no longer waiting for {uuid} after {timeout_s:g} s", file=sys.stderr, flush=True)
                return
            time.sleep(min(OTHERS_EVERY_S, max(0.0, end - time.monotonic())))


def stand_in() -> list[str]:
    """The flag that what NVML said was said by no driver."""
    return [record.STAND_IN] * nvml.is_stand_in()


def without_card(uuid: str, error: nvml.NvmlError) -> str:
    """Why a run has no card, and what to do about that."""
    if isinstance(error, nvml.CardLostError):
        return f"{uuid} is lost: {error}"
    return (
        f"{uuid} is the GPU of this device: {error}; measure where it is, or delete devices.json in the results "
        "to choose the devices anew"
    )


def sampling_of(request: Request, folder: Path) -> Sampling | nullcontext[None]:
    """The sampling of the GPU that is measured on, with which an idle time has passed; of a CPU, nothing."""
    if not request.uuid:
        return nullcontext()
    protocol = request.protocol
    sampling = Sampling(request.uuid, protocol.sampler_hz, protocol.cores, folder / "samples.jsonl")
    sampling.idle()
    return sampling


def of_gpu(sampled: samples.Samples, observed: dict, started_ns: int, pid: int, batch_size: int) -> dict:
    """Record fields of a run, by its process id, with what was sampled; it has failed where sampling had to end."""
    found = samples.observed(sampled, started_ns, pid, observed, batch_size)
    found["flags"] = [*observed.get("flags", []), *found["flags"]]
    if sampled.ended:
        found |= {"status": "failed", "reason": f"sampling of the GPU ended: {sampled.ended}"}
    return found


def wait(worker: subprocess.Popen, timeout_s: float, sampling: Sampling | None = None) -> list[tuple[int, float]]:
    """Wait for a worker's end; returns what the cores' mean frequency was meanwhile: ns of the clock, MHz.

    A worker whose GPU is sampled no more is killed. Raises subprocess.TimeoutExpired where it goes on for longer.
    """
    end = time.monotonic() + timeout_s
    frequencies: list[tuple[int, float]] = []
    while True:
        try:
            worker.wait(min(FREQUENCY_EVERY_S, end - time.monotonic()))
            return frequencies
        except subprocess.TimeoutExpired:
            if time.monotonic() >= end:
                raise
        if sampling and sampling.ended():
            os.killpg(worker.pid, signal.SIGKILL)
        if mhz := cpu.mhz():
            frequencies.append((time.perf_counter_ns(), mhz))


def mean_within(readings: list[tuple[int, float]], blocks: list[dict] | None) -> float | None:
    """Mean of the readings that were taken between the start of the first block and the end of the last."""
    inside = [value for t_ns, value in readings if blocks and blocks[0]["t0_ns"] <= t_ns <= blocks[-1]["t1_ns"]]
    return mean(inside) if inside else None


def seen_by(worker: subprocess.Popen, seen: Path, log: Path, limited: bool) -> dict:
    """What a worker that has ended left behind, or why there is nothing.

    `log` holds its output; `limited` tells whether its memory was.
    """
    if worker.returncode == 0:
        return json.loads(seen.read_text())
    if worker.returncode > 0:
        return {"status": "failed", "reason": f"the measuring process exited with code {worker.returncode}"}
    name = signal.Signals(-worker.returncode).name
    if name == "SIGABRT":
        said = log.read_text(errors="replace")
        for words in [BAD_ALLOC] + [NO_THREAD] * limited:
            if words in said:
                return {"status": "out_of_memory", "reason": f"the measuring process was killed by SIGABRT: {words}"}
    hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    return {"status": "failed", "reason": f"the measuring process was killed by {name}{hint}"}


def environment(threads: int, uuid: str | None) -> dict[str, str]:
    """The worker's environment variables: the same thread count for every library, one GPU or none, no chatter."""
    pools = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    return {
        **os.environ,
        **{f"{pool}_NUM_THREADS": str(threads) for pool in pools},
        "CUDA_VISIBLE_DEVICES": uuid or "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def revision() -> dict[str, object]:
    """Return the version of the code, its commit and whether it was changed since; no commit outside a git checkout."""
    version: dict[str, object] = {"framebench_version": __version__}
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return version
    if commit.returncode or status.returncode:
        return version
    return version | {"git_commit": commit.stdout.strip(), "git_dirty": bool(status.stdout)}
