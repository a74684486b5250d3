"""The CPU as a device: its description, the load of other processes, and the memory of a process."""

import math
import os
import platform
import re
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import psutil

from framebench.measure.devices import cgroup

MIB = 1024**2
STAT = Path("/proc/stat")
CPUS = Path("/sys/devices/system/cpu")
MOMENT_S = 0.5  # 50 ticks of the kernel's clock, per core
# With one framework thread per core, each parallel region waits for the slowest thread, so load on one core costs all
# cores. Measured with PyTorch's 2 threads on 2 cores: 7 % of its speed with 0.15 cores of other load, 19 % with 0.25,
# 64 % with 0.8. The first is within the differences between fresh processes of one cell.
BUSY_CORES = 0.15
# A share of the timed blocks. A quota holds all threads back at the end of each period: a pause of 1 ms in a period of
# 100 ms costs 1 %, which is within the differences between fresh processes.
THROTTLED_SHARE = 0.01


def machine() -> dict[str, object]:
    """Record fields on the current state of this machine."""
    return {
        "cpu_model": cpu_model(),
        "cpu_cores": usable_cores(),
        "cpu_quota_cores": cgroup.quota_cores(),
        "memory_total_mib": memory_total_mib(),
        "load_at_start": os.getloadavg()[0],
        "kernel_version": platform.release(),
    }


def usable_cores() -> int:
    """The cores that this process may use at a time, by its affinity and the whole cores of its quota."""
    quota = cgroup.quota_cores()
    allowed = len(os.sched_getaffinity(0))
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def memory_total_mib() -> float:
    """The memory in MiB that this process may have, in the machine and in its container."""
    return min(psutil.virtual_memory().total, cgroup.memory_limit_bytes() or math.inf) / MIB


def cpu_model() -> str:
    """The model as named by the kernel; the bare architecture where it names none."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


@contextmanager
def pinned(cores: Iterable[int] | None) -> Iterator[None]:
    """Restrict this process meanwhile, and its child processes for good, to these cores; None: no restriction."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def resident_mib() -> float:
    """Resident memory of this process now, in MiB."""
    return psutil.Process().memory_info().rss / MIB


def resident_peak_mib(pid: int | None = None) -> float:
    """Peak resident memory in MiB of this process, or of another, since its start or since `forget_peak`.

    0 where the process has ended.
    """
    try:
        status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0  # a process that has ended has none


def available_mib() -> float:
    """Memory in MiB that another process may take before any is swapped out, in the machine and in this container."""
    free = cgroup.memory_free_bytes()
    return min(psutil.virtual_memory().available, math.inf if free is None else free) / MIB


def forget_peak() -> bool:
    """Reset the peak to the memory that is resident now; False where the kernel refuses (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True


def limit_memory(mib: int) -> None:
    """Limit the private memory of this process from now on; allocations beyond the limit fail (setrlimit(2)).

    The limit counts writable memory, used or not, and not mapped files. Raises ValueError where the system has a lower
    limit.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (mib * MIB, mib * MIB))


@dataclass(frozen=True)
class Usage:
    """CPU seconds of all cores so far: total, stolen by the hypervisor, idle, and our own.

    "Our own" is this process with its ended children. Stolen time belongs to no process.
    """

    wall_s: float
    busy_s: float
    stolen_s: float
    total_s: float
    own_s: float


def usage(stat: Path = STAT) -> Usage | None:
    """CPU usage until now, from proc_stat(5); None where the system does not show it."""
    try:
        ticks = [int(field) for field in stat.read_text(encoding="utf-8").split(maxsplit=9)[1:9]]
        user, nice, system, idle, waiting, interrupt, soft_interrupt, stolen = ticks
    except (OSError, ValueError):
        return None
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    busy = user + nice + system + interrupt + soft_interrupt
    own = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Usage(
        wall_s=time.perf_counter(),
        busy_s=tick_s * busy,
        stolen_s=tick_s * stolen,
        total_s=tick_s * (busy + idle + waiting + stolen),
        own_s=sum(one.ru_utime + one.ru_stime for one in own),
    )


def others(before: Usage | None, after: Usage | None) -> dict[str, float]:
    """Record fields on the load of others between two usages; none where the system does not show it.

    Some sandboxes have a /proc/stat in which no time passes.
    """
    if before is None or after is None or after.total_s <= before.total_s:
        return {}
    busy_s = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return {
        # The kernel counts in ticks, so the difference on a quiet machine can fall below 0.
        "others_cpu_cores": max(0.0, busy_s / (after.wall_s - before.wall_s)),
        "steal_share": (after.stolen_s - before.stolen_s) / (after.total_s - before.total_s),
    }


def busy_cores_now() -> float | None:
    """Mean number of cores kept busy by other processes, over a short moment."""
    before = usage()
    time.sleep(MOMENT_S)
    return others(before, usage()).get("others_cpu_cores")


def is_busy(*cores: float | None) -> bool:
    """True where other processes kept more than BUSY_CORES busy in any of these readings."""
    return any(reading is not None and reading > BUSY_CORES for reading in cores)


def mhz(cpus: Path = CPUS) -> float | None:
    """Mean current frequency of the cores that this process may use; None where the system does not show it."""
    files = [cpus / f"cpu{core}/cpufreq/scaling_cur_freq" for core in os.sched_getaffinity(0)]
    try:
        return mean(int(file.read_text(encoding="utf-8")) for file in files) / 1000
    except (OSError, ValueError):
        return None


class UsageClock:
    """A monotonic clock in ns that also reads this process's resource usage."""

    def __init__(self) -> None:
        self._usage: dict[int, resource.struct_rusage] = {}

    def __call__(self) -> int:
        now_ns = time.perf_counter_ns()
        self._usage[now_ns] = resource.getrusage(resource.RUSAGE_SELF)
        return now_ns

    def minor_faults(self, t0_ns: int, t1_ns: int) -> int:
        """Page faults without I/O between two readings."""
        return self._usage[t1_ns].ru_minflt - self._usage[t0_ns].ru_minflt

    def cpu_s(self, t0_ns: int, t1_ns: int) -> float:
        """CPU time of all threads between two readings."""
        before, after = self._usage[t0_ns], self._usage[t1_ns]
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
