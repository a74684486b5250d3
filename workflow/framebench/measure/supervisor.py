"""The supervisor of a run: it starts the process, gives it turns, watches it, and makes the record."""

import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from framebench import record
from framebench.derived import AT_WORK, STARTING
from framebench.measure import story
from framebench.measure.devices import cgroup, cpu, nvml, samples
from framebench.measure.devices.idle import Idle
from framebench.measure.devices.sampling import Sampling
from framebench.measure.process import Process
from framebench.measure.request import Request
from framebench.measure.turns import BUILT

SHARED = "other_process_on_gpu"  # flag: another process computed on the card before or after the run
OTHERS_EVERY_S = 1.0  # interval between queries of a card's processes while waiting for their end
GONE_S = 1.0  # longest time for which a driver still lists a process that has ended
# Record field → property of a card.
DESCRIBED = {
    "device_name": "name",
    "device_pci_bus_id": "pci_bus_id",
    "gpu_memory_total_mib": "memory_total_mib",
    "gpu_power_limit_w": "power_limit_w",
    "gpu_max_sm_mhz": "max_sm_mhz",
    "gpu_max_memory_mhz": "max_memory_mhz",
    "gpu_ecc": "ecc",
    "gpu_mig": "mig",
    "driver_version": "driver_version",
}
# Messages of a process aborted out of memory where nothing caught the error: the C++ library's; and TensorFlow's where
# a thread gets no stack. The second may have other causes, and counts where memory was limited: trials differ only in
# the batch, and the number of threads stays.
BAD_ALLOC = "terminate called after throwing an instance of 'std::bad_alloc'"
NO_THREAD = "creation via pthread_create() failed"


@dataclass(frozen=True)
class Member:
    """A requested run, and the place of its output; on a GPU, that of its samples too, if they are wanted.

    `expected_mib`: memory of such a run before; None: unknown. `idle`: the power of the idle card.
    """

    request: Request
    log: Path
    samples: Path | None = None
    expected_mib: float | None = None
    idle: Idle | None = None


class Run:
    """One run under way. It computes in its turns only, and once it has ended every turn does nothing."""

    def __init__(self, member: Member, facts: Mapping[str, Any], folder: Path) -> None:
        """`facts`: record fields of the machine; `folder`: an empty one, for the files between the two processes."""
        self.member, self.request = member, member.request
        self.places: list[int] = []  # places of its blocks among those of the round
        self.alone = True  # nothing else computed while it was started
        self.beside = 0  # other processes that waited meanwhile
        self.speeds: list[float] = []  # images/s of the last block of each turn
        self._turns_s = self._held_back_s = 0.0
        self.ended = False
        self._state: str | None = None
        self._folder = folder
        self._known = {**asked_for(self.request), **facts}
        self._known["device_name"] = None if self.request.uuid else self._known["cpu_model"]
        self._observed: dict[str, Any] = {}
        self._flags: list[str] = []
        self._unknown: dict[str, str] = {}  # field on the GPU, or flag, that is not known → the reason
        if idle := member.idle:
            self._known |= {"power_idle_w": idle.power_w, "power_idle_unix_s": idle.unix_s}
            self._unknown |= {"power_idle_w": idle.reason} if idle.reason else {}
        self._process: Process | None = None
        self._sampling: Sampling | None = None
        self._frequencies: list[tuple[int, float]] = []

    def start(self, sample: bool) -> None:
        """Start the process; `sample`: with samples of its GPU, on which nothing else computes."""
        self._known["started_unix_s"] = time.time()
        if self.request.refused:
            self._fail(self.request.refused)
            return
        if self.request.uuid:
            self._known["device_uuid"] = self.request.uuid
            try:
                with nvml.session(), nvml.answering():
                    card = nvml.card(self.request.uuid)
                    self._known |= described(card)
                    reasons = {field: card.unknown.get(fact, "") for field, fact in DESCRIBED.items()}
                    self._unknown |= {field: reason for field, reason in reasons.items() if reason}
                    self._note_others(*others(card.uuid))
            except nvml.NvmlError as error:
                self._fail(without_card(self.request.uuid, error))
                return
        cores = self.request.protocol.cores
        if self.request.uuid and sample:
            lines = self._folder / "samples.jsonl"
            self._sampling = Sampling(self.request.uuid, self.request.protocol.sampler_hz, cores, lines)
            self._sampling.begun()
        self._start_s = time.perf_counter()
        # Pinned from its start: a library may create its threads at import.
        with cpu.pinned(cores):
            try:
                self._process = Process(self.request, self._folder / "request.json", self._seen, self.member.log)
            except FileNotFoundError as error:
                self._fail(str(error))

    def built(self) -> None:
        """Wait until the model is there."""
        if self._state is None:
            self._reach()
            if self._process and (inherited := self._process.inherited()):
                self._known["inherited_variables"] = json.dumps(inherited)

    def warm_up(self) -> None:
        """Let it take its first step and warm up."""
        if self._state == BUILT:
            self._go(1)
            self._reach()

    def take_turn(self, places: Sequence[int]) -> None:
        """Let it time one block for each of these places in the round."""
        self.places += places
        start_s, held_back_s = time.perf_counter(), cgroup.throttled_s()
        self._go(len(places))
        step_s = self._reach()
        if held_back_s is not None:
            self._turns_s += time.perf_counter() - start_s
            self._held_back_s += (cgroup.throttled_s() or held_back_s) - held_back_s
        if step_s and not self.ended:
            self.speeds.append(self.request.cell.batch_size / float(step_s))

    def end(self) -> None:
        """End the timing and let it make its checks."""
        self._go(0)

    def close(self) -> None:
        """Wait for its end, and collect the outcome."""
        self._reach()
        process, request = self._process, self.request
        if not process or self._observed:
            return
        self._known["process_s"] = process.ended_s - self._start_s
        code = process.close()
        if process.timed_out:
            reason = f"still running after protocol.timeout_s = {request.protocol.timeout_s} s of its own"
            self._observed = {"status": "timeout", "reason": reason}
        else:
            self._observed = seen_by(code, self._seen, self.member.log, limited=bool(request.host_memory_mib))
        if request.story and self._observed["status"] == "ok":
            self._judge_work()
        blocks = self._observed.get("blocks", [])
        for block, place in zip(blocks, self.places, strict=False):
            block["place"] = place
        self._observed["cpu_mhz"] = mean_within(self._frequencies, blocks)
        if sampled := self._sampling and self._sampling.stop():
            started_ns = round(1e9 * self._start_s)
            found = of_gpu(sampled, self._observed, started_ns, process.pid, request.cell.batch_size)
            self._unknown |= found.pop("unknown")
            self._observed |= found
            if self.member.samples:
                samples.save(self.member.samples, sampled)
        if request.uuid:
            try:
                with nvml.session(), nvml.answering():
                    left, reason = others(request.uuid, ended=process.pid)
                self._note_others(left, reason)
                if sampled and {*samples.ids(sampled, started_ns, process.pid)} & {*(left or ())}:
                    self._observed["gpu_process_peak_mib"] = None
                    self._unknown["gpu_process_peak_mib"] = samples.OTHER_IDS
            except nvml.NvmlError as error:
                self._observed |= {"status": "failed", "reason": without_card(request.uuid, error)}

    def _note_others(self, found: list[int] | None, reason: str) -> None:
        """Flag other processes on the card, or note why they are not known."""
        self._flags += [SHARED] * bool(found)
        if found is None:
            self._unknown[SHARED] = reason

    def _judge_work(self) -> None:
        """Compare the kept changes with the reference, now that the process has ended."""
        start = time.perf_counter()
        try:
            seen, flags = story.judged(self.request, self._seen.with_name(story.FOLDER))
        except ValueError as error:
            seen, flags = {"status": "invalid", "reason": f"its work cannot be judged: {error}"}, []
        self._observed |= seen | {"judged_s": time.perf_counter() - start}
        self._flags += flags

    def kill(self) -> None:
        """End all its processes."""
        if self._process:
            self._process.kill()
        if self._sampling:
            self._sampling.stop()

    def resident_peak_mib(self) -> float:
        """Peak memory of the process so far."""
        return cpu.resident_peak_mib(self._process.pid) if self._process and not self.ended else 0.0

    def record(self, of_round: Mapping[str, Any]) -> dict:
        """The record; `of_round`: fields that all runs of the round share."""
        observed = {**self._known, **self._observed, **of_round, "interleaved_with": self.beside}
        if self.request.uuid:
            self._flags += stand_in()
            observed["gpu_unknown"] = json.dumps(self._unknown, sort_keys=True) if self._unknown else None
        if self._turns_s:
            observed["throttled_s"] = self._held_back_s
            self._flags += [record.THROTTLED] * (self._held_back_s > cpu.THROTTLED_SHARE * self._turns_s)
        if cpu.is_busy(observed.get("busy_at_start_cores"), observed.get("others_cpu_cores")):
            self._flags.append(record.BUSY)
        observed["flags"] = list(dict.fromkeys([*self._observed.get("flags", []), *self._flags]))
        built_ns, modules = observed.pop("built_ns", None), observed.pop("loaded_modules", None)
        if modules and observed.get("slurm_allocation"):
            # Loaded for the measuring process, which alone knows them.
            told = json.loads(observed["slurm_allocation"]) | {"LOADEDMODULES": modules}
            observed["slurm_allocation"] = json.dumps(told, sort_keys=True)
        if "warmup_s" in observed:
            observed |= self._parts(observed, built_ns / 1e9 - self._start_s)
        return record.record(**observed)

    @property
    def _seen(self) -> Path:
        return self._folder / "observed.json"

    def _parts(self, observed: Mapping[str, Any], built_s: float) -> dict[str, float | None]:
        """Fields that add up to the time of the process; `built_s`: time until the model was built."""
        known_s = built_s + sum(observed[name] for name in AT_WORK)
        parts: dict[str, float | None] = {"end_s": observed["process_s"] - known_s}
        if self.alone:
            return parts | {"start_s": built_s - sum(observed[name] for name in STARTING)}
        return parts | {"start_s": built_s} | dict.fromkeys(STARTING)

    def _fail(self, reason: str) -> None:
        self.ended = True
        self._observed = {"status": "failed", "reason": reason}

    def _go(self, blocks: int) -> None:
        if self._process and not self.ended:
            self._process.go(blocks)

    def _reach(self) -> str:
        """Wait for its next state; returns the rest of its message."""
        if not self._process or self.ended:
            return ""
        said = self._process.reached(self._look)
        self.ended = said is None
        self._state, _, more = (said or "").partition(" ")
        return more

    def _look(self) -> bool:
        if mhz := cpu.mhz():
            self._frequencies.append((time.perf_counter_ns(), mhz))
        return bool(self._sampling and self._sampling.ended())


def asked_for(request: Request) -> dict[str, Any]:
    """Record fields that follow from a request."""
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
    return {field: getattr(card, fact) for field, fact in DESCRIBED.items()}


def others(uuid: str, ended: int | None = None) -> tuple[list[int] | None, str]:
    """Ids of the processes that compute on a card; None, with the reason, where the driver does not tell them.

    After a worker, whose id is `ended`: those that stay longer than a process that has ended. In a container the driver
    may list the worker under another id.
    """
    end = time.monotonic() + (GONE_S if ended else 0)
    while True:
        found, reason = nvml.processes(nvml.handle(uuid))
        if found is None:
            return None, reason
        left = [process.pid for process in found if process.pid != ended]
        if not left or time.monotonic() >= end:
            return left, ""
        time.sleep(GONE_S / 10)


def wait_for_others(uuid: str, timeout_s: float) -> None:
    """Return when no process computes on a card, or after timeout_s; reports on stderr the wait and its end.

    A card that cannot be asked is left to the run, whose record then says so; one whose processes the driver does not
    tell is said on stderr too.
    """
    end = time.monotonic() + timeout_s
    with suppress(nvml.NvmlError), nvml.session():
        found, reason = others(uuid)
        if found is None:
            said = f"not waiting: it is not known which processes compute on {uuid}: {reason}"
            print(said, file=sys.stderr, flush=True)
        if not found:
            return
        print(f"waiting: other processes compute on {uuid}", file=sys.stderr, flush=True)
        while others(uuid)[0]:
            if time.monotonic() >= end:
                print(f"no longer waiting for {uuid} after {timeout_s:g} s", file=sys.stderr, flush=True)
                return
            time.sleep(min(OTHERS_EVERY_S, max(0.0, end - time.monotonic())))


def stand_in() -> list[str]:
    """Flags results that came from the NVML stand-in of the tests."""
    return [record.STAND_IN] * nvml.is_stand_in()


def without_card(uuid: str, error: nvml.NvmlError) -> str:
    """The reason why a run has no card, and the remedy."""
    if isinstance(error, nvml.CardLostError):
        return f"{uuid} is lost: {error}"
    return (
        f"{uuid} is the GPU of this device: {error}; measure where it is, or delete devices.json in the results "
        "to choose the devices anew"
    )


def of_gpu(sampled: samples.Samples, observed: dict, started_ns: int, pid: int, batch_size: int) -> dict:
    """Record fields of a run from its samples, by its process id; the run has failed where sampling had to end."""
    found = samples.observed(sampled, started_ns, pid, observed, batch_size)
    found["flags"] = [*observed.get("flags", []), *found["flags"]]
    if sampled.ended:
        found |= {"status": "failed", "reason": f"sampling of the GPU ended: {sampled.ended}"}
    return found


def mean_within(readings: list[tuple[int, float]], blocks: list[dict] | None) -> float | None:
    """Mean of the readings within a block."""
    inside = [
        value for t_ns, value in readings if any(block["t0_ns"] <= t_ns <= block["t1_ns"] for block in blocks or [])
    ]
    return mean(inside) if inside else None


def seen_by(code: int, seen: Path, log: Path, limited: bool) -> dict:
    """The output of a worker that ended with this exit code, or the reason why there is none.

    `log` holds its output; `limited`: its memory was limited.
    """
    if code == 0:
        return json.loads(seen.read_text(encoding="utf-8"))
    if code > 0:
        return {"status": "failed", "reason": f"the measuring process exited with code {code}"}
    name = signal.Signals(-code).name
    if name == "SIGABRT":
        said = log.read_text(errors="replace", encoding="utf-8")
        for words in [BAD_ALLOC] + [NO_THREAD] * limited:
            if words in said:
                return {"status": "out_of_memory", "reason": f"the measuring process was killed by SIGABRT: {words}"}
    hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    return {"status": "failed", "reason": f"the measuring process was killed by {name}{hint}"}
