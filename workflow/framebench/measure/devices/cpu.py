"""The CPU as a device: what it is, and how much memory a process on it holds."""

import os
import platform
import re
from pathlib import Path

import psutil

MIB = 1024**2


def machine() -> dict[str, object]:
    """Record fields that describe this machine now."""
    return {
        "cpu_model": cpu_model(),
        "cpu_cores": len(os.sched_getaffinity(0)),
        "memory_total_mib": psutil.virtual_memory().total / MIB,
        "load_at_start": os.getloadavg()[0],
        "kernel_version": platform.release(),
    }


def cpu_model() -> str:
    """The model as the kernel names it; the bare architecture where it names none."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def resident_mib() -> float:
    """Resident memory of this process now."""
    return psutil.Process().memory_info().rss / MIB


def resident_peak_mib() -> float:
    """Peak of the resident memory of this process since its start, or since `forget_peak`."""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found, "every Linux since 2.6 reports VmHWM"
    return int(found[1]) / 1024


def forget_peak() -> bool:
    """Start the peak anew from what is resident now; False where the kernel does not let us (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True
