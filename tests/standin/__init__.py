"""Two NVIDIA cards that do not exist: libraries in place of the driver's, with answers set by the test.

The libraries are loaded by the real pynvml and by framebench's own ctypes, in child processes that get the variables of
`environment`. Test and children share the state through a mapped file, so that a test can change it under a running
child, and count the calls of each function.
"""

import ctypes
import mmap
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LIBRARIES = {"nvml.c": "libnvidia-ml.so.1", "cuda.c": "libcuda.so.1"}

GIB = 1024**3
FOR_EVER = 2**32 - 1
UNKNOWN_BYTES = 2**64 - 1
CARDS = 2
PROCESSES = 8
ANY_CARD = -1

UUIDS = ("GPU-5b21c3a4-0000-4000-8000-00000000000a", "GPU-0c3f9d11-0000-4000-8000-00000000000b")
MIG_UUIDS = ("MIG-77aa0000-0000-4000-8000-00000000000a", "MIG-77bb0000-0000-4000-8000-00000000000b")

# Return codes of nvml.h.
NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, INSUFFICIENT_POWER = 3, 4, 6, 8
FUNCTION_NOT_FOUND, GPU_IS_LOST, LIBRARY_MISMATCH, NOT_READY = 13, 15, 18, 27

ENERGY = "nvmlDeviceGetTotalEnergyConsumption"
POWER = ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetFieldValues", "nvmlDeviceGetEnforcedPowerLimit", ENERGY)
CLOCKS = ("nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo")
REASONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
MEMORY = ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2")
PROCESS_LISTS = ("nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetComputeRunningProcesses_v3")
ECC = ("nvmlDeviceGetEccMode", "nvmlDeviceGetTotalEccErrors")
# Cards and drivers as people have them: the values that differ, and the functions that answer with an error.
KINDS: dict[str, tuple[dict[str, object], dict[str, int]]] = {
    "Jetson": (
        {"name": b"Orin (nvgpu)"},
        dict.fromkeys(
            (*MEMORY, *POWER, *CLOCKS, *REASONS, *PROCESS_LISTS, *ECC, "nvmlDeviceGetUUID", "nvmlDeviceGetPciInfo_v3"),
            NOT_SUPPORTED,
        ),
    ),
    "WSL2": (
        {"name": b"\xf8\x95\xa0\x81"},
        dict.fromkeys((*PROCESS_LISTS, *ECC, "nvmlDeviceGetEnforcedPowerLimit"), NOT_SUPPORTED),
    ),
    "vGPU": (
        {"name": b"GRID A100-8C"},
        dict.fromkeys((*POWER, *CLOCKS, *REASONS, "nvmlDeviceGetTemperature"), NOT_SUPPORTED),
    ),
    "vGPU that answers": ({"power_mw": 0, "power_instant_mw": 0, "power_limit_mw": 0, "max_sm_mhz": 0}, {}),
    # NVML_VALUE_NOT_AVAILABLE of nvml.h, in unsigned numbers.
    "driver that answers -1": (
        dict.fromkeys(("power_mw", "power_instant_mw", "power_limit_mw", "sm_mhz", "max_sm_mhz"), FOR_EVER)
        | dict.fromkeys(("memory_mhz", "max_memory_mhz", "temperature_c", "utilisation"), FOR_EVER)
        | dict.fromkeys(("memory_total_bytes", "memory_used_bytes", "throttle_reasons", "energy_mj"), UNKNOWN_BYTES),
        {},
    ),
    "unified memory": ({"name": b"NVIDIA GB10"}, dict.fromkeys((*MEMORY, *ECC), NOT_SUPPORTED)),
    "GeForce": (
        {"name": b"NVIDIA GeForce RTX 4090"},
        dict.fromkeys((*ECC, "nvmlDeviceGetMigMode"), NOT_SUPPORTED),
    ),
    "Pascal": (
        {"name": b"Tesla P100-PCIE-16GB", "compute_major": 6, "compute_minor": 0},
        {ENERGY: NOT_SUPPORTED, "nvmlDeviceGetFieldValues": NOT_SUPPORTED},
    ),
    "driver 450": (
        {},
        dict.fromkeys((PROCESS_LISTS[1], MEMORY[1], REASONS[0], "nvmlDeviceGetFieldValues"), FUNCTION_NOT_FOUND),
    ),
    "container without permission": ({}, dict.fromkeys((*PROCESS_LISTS, *REASONS), NO_PERMISSION)),
}


class Process(ctypes.Structure):
    _fields_ = (("used_bytes", ctypes.c_uint64), ("pid", ctypes.c_uint32))


class Card(ctypes.Structure):
    """One card's answers; texts are bytes."""

    _fields_ = (
        *((name, ctypes.c_char * 96) for name in ("uuid", "mig_uuid", "cuda_uuid", "name")),
        ("pci_bus_id", ctypes.c_char * 32),
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("memory_total_bytes", "memory_reserved_bytes", "memory_used_bytes"),
                # Where energy_since_ns, a time of the monotonic clock, is not 0, the counter moves on from energy_mj.
                *("energy_mj", "energy_since_ns", "throttle_reasons", "ecc_errors"),
            )
        ),
        *(
            (name, ctypes.c_uint32)
            for name in (
                *("power_limit_mw", "power_mw", "power_instant_mw"),
                *("sm_mhz", "memory_mhz", "max_sm_mhz", "max_memory_mhz"),
                *("temperature_c", "utilisation", "memory_utilisation", "ecc", "mig"),
                # The place in CUDA's order, fastest card first; NVML's is that of the PCI bus, and of the array.
                *("compute_mode", "cuda_rank", "compute_major", "compute_minor", "process_count"),
            )
        ),
        ("processes", Process * PROCESSES),
    )


class Function(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char * 64),
        ("calls", ctypes.c_uint32 * (CARDS + 1)),
        *(("code", ctypes.c_int32), ("device", ctypes.c_int32)),
        *((name, ctypes.c_uint32) for name in ("after", "times", "delay_ms")),
    )


class State(ctypes.Structure):
    _fields_ = (
        ("driver_version", ctypes.c_char * 80),
        ("cuda_version", ctypes.c_uint32),
        ("card_count", ctypes.c_uint32),
        ("cards", Card * CARDS),
        ("functions", Function * 56),
    )


def build(folder: Path) -> bool:
    """Compile the libraries into `folder`; False where this machine has no C compiler."""
    if not shutil.which("cc"):
        return False
    for source, library in LIBRARIES.items():
        flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", f"-DSTATE_BYTES={ctypes.sizeof(State)}"]
        subprocess.run(["cc", *flags, f"-Wl,-soname,{library}", "-o", folder / library, HERE / source], check=True)
    return True


class StandIn:
    """The state behind the answers of the libraries in the folder `libraries`; two idle cards at first."""

    def __init__(self, libraries: Path, path: Path) -> None:
        self.libraries, self.path = libraries, path
        path.write_bytes(bytes(ctypes.sizeof(State)))
        with path.open("r+b") as file:
            self.state = State.from_buffer(mmap.mmap(file.fileno(), 0))
        self.state.driver_version, self.state.cuda_version, self.state.card_count = b"999.1", 99_000, CARDS
        for number, card in enumerate(self.cards):
            card.uuid, card.name = UUIDS[number].encode(), (b"NVIDIA H200", b"NVIDIA L4")[number]
            card.pci_bus_id = (b"00000000:18:00.0", b"00000000:3B:00.0")[number]
            card.memory_total_bytes, card.memory_reserved_bytes = (140 * GIB, 24 * GIB)[number], GIB // 2
            card.power_limit_mw = (700_000, 72_000)[number]
            card.power_mw = card.power_instant_mw = (120_000, 16_000)[number]
            card.sm_mhz, card.max_sm_mhz = (345, 210)[number], (1980, 2040)[number]
            card.memory_mhz = card.max_memory_mhz = (3201, 6251)[number]
            card.temperature_c, card.ecc = 35, 1
            card.compute_major, card.compute_minor = ((9, 0), (8, 9))[number]
        sources = "".join((HERE / source).read_text(encoding="utf-8") for source in LIBRARIES)
        names = sorted(set(re.findall(r"\b(?:nvml|cu)[A-Z]\w+(?=[(,)])", sources)))
        self.functions = dict(zip(names, self.state.functions, strict=False))
        assert len(self.functions) == len(names), "state.h has too few functions"
        for name, function in self.functions.items():
            function.name, function.device, function.times = name.encode(), ANY_CARD, FOR_EVER

    def child(self, code: str, **environment: str) -> str:
        """Output of a child process that runs this code with the libraries and additional variables."""
        return child(code, self.environment | environment)

    @property
    def cards(self) -> list[Card]:
        return list(self.state.cards)

    @property
    def environment(self) -> dict[str, str]:
        """All variables of a child process in which the libraries are found and answer from this state."""
        return without_driver(self.libraries) | {"FRAMEBENCH_STAND_IN": str(self.path)}

    def fault(
        self, function: str, code: int = 0, *, card: int = ANY_CARD, after: int = 0, times: int = FOR_EVER, delay_ms=0
    ) -> None:
        """From its call `after` on and for so many `times`, the function takes delay_ms and answers `code`.

        Calls are counted from now, of the card that is faulty or of all.
        """
        one = self.functions[function]
        one.calls[:] = [0] * (CARDS + 1)
        one.code, one.device, one.after, one.times, one.delay_ms = code, card, after, times, delay_ms

    def become(self, kind: str) -> None:
        """Turn both cards and their driver into a kind of KINDS."""
        values, faults = KINDS[kind]
        for name, value in values.items():
            for card in self.cards:
                setattr(card, name, value)
        for function, code in faults.items():
            self.fault(function, code)

    def calls(self, function: str) -> int:
        """Number of calls of a function so far, since its fault if it has one."""
        return sum(self.functions[function].calls)

    def show_processes(self, card: int, processes: dict[int, int]) -> None:
        """The compute processes on a card: pid → bytes used, or UNKNOWN_BYTES."""
        self.cards[card].process_count = len(processes)
        for place, (pid, used_bytes) in enumerate(processes.items()):
            self.cards[card].processes[place] = Process(used_bytes, pid)


def without_driver(libraries: Path) -> dict[str, str]:
    """All variables of a child process that finds the libraries, and they no driver."""
    path = os.pathsep.join(filter(None, [str(libraries), os.environ.get("LD_LIBRARY_PATH")]))
    kept = {name: value for name, value in os.environ.items() if name != "FRAMEBENCH_STAND_IN"}
    return kept | {"LD_LIBRARY_PATH": path}


def child(code: str, environment: dict[str, str]) -> str:
    """Output of a child process of this interpreter, with the package, that runs this code; stripped."""
    environment = environment | {"PYTHONPATH": str(HERE.parents[1] / "workflow")}
    result = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
