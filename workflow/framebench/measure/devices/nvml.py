"""NVIDIA's management library: the cards of this machine and their properties."""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pynvml

from framebench.measure.devices import libraries

MIB = 1024**2
MARKER = "framebench_stand_in"  # symbol of the tests' stand-in for the driver
# After one of these codes of nvml.h, the card answers no further query.
LOST = {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED}
NO_DRIVER = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "libnvidia-ml.so.1 cannot be loaded",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "libnvidia-ml.so.1 is there, but no driver is loaded",
}
REMEDIES = {
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "; the driver was updated while it was loaded, so restart the machine",
}
UNKNOWN_NAME = "of unknown name"
ANSWER_S = 120  # longest wait for the driver; without persistence mode, it takes seconds for each card
NOT_AVAILABLE = (2**32 - 1, 2**64 - 1)  # NVML_VALUE_NOT_AVAILABLE of nvml.h, -1, in 32 and in 64 bits
# These drivers fill another structure than every other driver and every pynvml of ours, and only in this call: from
# the second process on, ids and memory would be read from the wrong bytes (nvidia-ml-py 12.535.108, release notes).
MISREAD, MISREAD_DRIVERS = "nvmlDeviceGetComputeRunningProcesses_v3", ((535, 43), (535, 98))


class NvmlError(Exception):
    """The cards cannot be asked, for the reason in the message."""


class NoDriverError(NvmlError):
    """The machine has no NVIDIA driver."""


class BrokenDriverError(NoDriverError):
    """The machine has a driver that cannot be asked: its cards would be taken for absent."""


class NoCardError(NvmlError):
    """This machine has no such card."""


class CardLostError(NvmlError):
    """A card that fell off the bus or must be reset."""


@dataclass(frozen=True)
class Card:
    """Constant properties of a card, or of a MIG device; None where it does not report one."""

    uuid: str
    name: str | None
    pci_bus_id: str | None
    memory_total_mib: float | None
    power_limit_w: float | None
    max_sm_mhz: int | None
    max_memory_mhz: int | None
    ecc: bool | None
    mig: bool | None  # MIG is on, so CUDA shows the card's MIG devices and not the card
    mig_uuids: tuple[str, ...]  # UUIDs of its MIG devices
    driver_version: str | None
    stand_in: bool
    unknown: Mapping[str, str] = field(default_factory=dict)  # property that is None → the reason

    def __str__(self) -> str:
        return f"{self.uuid} ({self.name or UNKNOWN_NAME})"


@dataclass(frozen=True)
class Process:
    """A process that computes on a card; its memory is None where the driver does not know it."""

    pid: int
    used_mib: float | None


@contextmanager
def session() -> Iterator[None]:
    """Load the library, so that the other functions here can be called; NoDriverError where there is none."""
    libraries.load("libnvidia-ml.so.1")
    try:
        with answering():
            pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value in NO_DRIVER:
            raise NoDriverError(NO_DRIVER[error.value]) from None
        raise _broken(str(error).rstrip(".") + REMEDIES.get(error.value, "")) from None
    try:
        yield
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


@contextmanager
def answering() -> Iterator[None]:
    """End the process with one line where the driver takes longer than ANSWER_S: meanwhile Python sees no Ctrl-C."""
    watch = threading.Timer(ANSWER_S, _end)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _end() -> None:
    print(
        f"the NVIDIA driver does not answer within {ANSWER_S} s, nor would it answer nvidia-smi; restart the machine, "
        "or leave out its GPUs: devices: [cpu]",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


def is_stand_in() -> bool:
    """True for the tests' stand-in, whose cards are not real."""
    return hasattr(pynvml.nvmlLib, MARKER)


def identity(found: Any) -> Any:
    """The answer as it is."""
    return found


def asked(query: Callable[..., Any], *arguments: object, take: Callable[[Any], Any] = identity) -> tuple[Any, str]:
    """The answer to a query of pynvml, through `take`; or None, with the reason: an error, or a text nobody can read.

    Raises CardLostError where the card no longer answers anything.
    """
    try:
        found = take(query(*arguments))
    except pynvml.NVMLError as error:
        if error.value in LOST:
            raise CardLostError(f"{query.__name__}: {error}") from None
        return None, f"{query.__name__}: {error}"
    except UnicodeDecodeError:
        return None, f"{query.__name__}: the answer is no UTF-8"
    if isinstance(found, str) and not (found.strip() and found.isprintable()):
        return None, f"{query.__name__}: the answer is {found!r}"
    return found, ""


def answer(query: Callable[..., Any], *arguments: object) -> Any:
    """The answer to a query of pynvml; None where there is none. Raises CardLostError as `asked`."""
    return asked(query, *arguments)[0]


def cards() -> list[Card]:
    """The cards on which this process can compute, by UUID."""
    return sorted((one for one in _every() if isinstance(one, Card)), key=lambda card: card.uuid)


def left_out() -> list[str]:
    """The other cards of this machine, each with the reason why no run can be given it."""
    return [one for one in _every() if isinstance(one, str)]


def card(uuid: str) -> Card:
    """The card, or MIG device, of this UUID; errors as those of `handle`."""
    return _card(handle(uuid), uuid)


def card_of_cuda(uuid: str) -> Card:
    """The card, or MIG device, of this UUID in CUDA's notation, without GPU- or MIG-; errors as those of `handle`."""
    try:
        return card(f"GPU-{uuid}")
    except NoCardError:
        return card(f"MIG-{uuid}")


def is_model(name: str | None, model: str) -> bool:
    """True where the words of `model` follow one another in a card's name, ignoring punctuation and case."""
    return f" {' '.join(words(model))} " in f" {' '.join(words(name or ''))} "


def words(model: str) -> list[str]:
    return re.findall("[a-z0-9]+", model.lower())


def handle(uuid: str) -> Any:
    """Handle of the card, or MIG device, of this UUID for pynvml's functions.

    Raises NoCardError where there is none, and CardLostError where it may be one that is lost.
    """
    # Fails where any card of the machine is lost (nvml.h), so that all are looked through for this one.
    with suppress(CardLostError):
        if found := answer(pynvml.nvmlDeviceGetHandleByUUID, uuid.encode()):
            return found
    lost = None
    for index in range(_count()):
        try:
            for one in _with_mig_devices(answer(pynvml.nvmlDeviceGetHandleByIndex, index)):
                if answer(pynvml.nvmlDeviceGetUUID, one) == uuid:
                    return one
        except CardLostError as error:
            lost = error
    if lost:
        raise lost
    there = ", ".join([*map(str, cards()), *left_out()])
    raise NoCardError(f"{uuid} is not on this machine, which has {there or 'no card'}")


def processes(handle: Any) -> tuple[list[Process] | None, str]:
    """The processes that compute on a card and an empty reason; or None, and the reason why they are not known.

    A driver before 510 knows the older of the two calls alone.
    """
    calls = [MISREAD, "nvmlDeviceGetComputeRunningProcesses_v2"]
    version = re.match(r"(\d+)\.(\d+)", driver_version() or "")
    first, after = MISREAD_DRIVERS
    if version and first <= tuple(map(int, version.groups())) < after:
        calls.remove(MISREAD)
    reasons = []
    for call in calls:
        found, reason = asked(getattr(pynvml, call), handle)
        if not reason:
            # No process computes with nothing: some drivers answer 0 for what they do not know.
            return [Process(one.pid, one.usedGpuMemory / MIB if one.usedGpuMemory else None) for one in found], ""
        reasons.append(reason)
    return None, "; ".join(reasons)


def used_mib(handle: Any) -> float | None:
    """Memory in use on a card now, without the driver's reserve where it is reported apart; None: unknown."""
    memory = answer(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    memory = memory or answer(pynvml.nvmlDeviceGetMemoryInfo, handle)
    return memory.used / MIB if memory and memory.used not in NOT_AVAILABLE else None


def driver_version() -> str | None:
    """The version of the driver; None where it does not tell."""
    return answer(pynvml.nvmlSystemGetDriverVersion)


def cuda_version() -> tuple[int, int] | None:
    """The newest CUDA that the driver runs, or a compatibility package of NVIDIA's in its place; None: unknown."""
    version = answer(pynvml.nvmlSystemGetCudaDriverVersion)
    return version and (version // 1000, version % 1000 // 10)


def compute_capability(uuid: str) -> tuple[int, int] | None:
    """The generation of a card, in CUDA's count; None where it does not tell. Errors as those of `handle`."""
    found = answer(pynvml.nvmlDeviceGetCudaComputeCapability, handle(uuid))
    return found and tuple(found)


def _broken(reason: str) -> BrokenDriverError:
    return BrokenDriverError(f"the NVIDIA driver does not answer: {reason}")


def _count() -> int:
    count, reason = asked(pynvml.nvmlDeviceGetCount)
    if reason:
        raise _broken(reason)
    return count


def _every() -> Iterator[Card | str]:
    """Each card of this machine, or the reason why no run can be given it."""
    for index in range(_count()):
        try:
            yield _usable(index)
        except CardLostError as error:
            yield f"card {index}, which is lost: {error}"


def _usable(index: int) -> Card | str:
    handle, reason = asked(pynvml.nvmlDeviceGetHandleByIndex, index)
    if reason:
        return f"card {index}, which cannot be asked: {reason}"
    uuid, reason = asked(pynvml.nvmlDeviceGetUUID, handle)
    if reason:
        name = answer(pynvml.nvmlDeviceGetName, handle) or UNKNOWN_NAME
        return f"card {index} ({name}), which has no UUID to be given to a run by: {reason}"
    found = _card(handle, uuid)
    if answer(pynvml.nvmlDeviceGetComputeMode, handle) == pynvml.NVML_COMPUTEMODE_PROHIBITED:
        return f"{found}, whose compute mode is Prohibited (nvidia-smi -c 0 allows computing)"
    return found


def _card(handle: Any, uuid: str) -> Card:
    unknown: dict[str, str] = {}

    def known(fact: str, query: Callable[..., Any], *arguments: object, take: Callable[[Any], Any] = identity) -> Any:
        """The answer for a fact; None, with the reason in `unknown`, also for a number that is 0 or not available."""
        found, reason = asked(query, *arguments, take=take)
        if reason or (type(found) is int and found in (0, *NOT_AVAILABLE)):
            unknown[fact] = reason or f"{query.__name__}: the answer is {found}"
            return None
        return found

    def max_mhz(fact: str, clock: int) -> int | None:
        return known(fact, pynvml.nvmlDeviceGetMaxClockInfo, handle, clock)

    total = known("memory_total_mib", pynvml.nvmlDeviceGetMemoryInfo, handle, take=lambda memory: memory.total)
    limit_mw = known("power_limit_w", pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    mig = known("mig", pynvml.nvmlDeviceGetMigMode, handle, take=lambda modes: bool(modes[0]))
    return Card(
        uuid=uuid,
        name=known("name", pynvml.nvmlDeviceGetName, handle),
        pci_bus_id=known("pci_bus_id", pynvml.nvmlDeviceGetPciInfo, handle, take=lambda pci: pci.busId),
        memory_total_mib=total and total / MIB,
        power_limit_w=limit_mw and limit_mw / 1000,
        max_sm_mhz=max_mhz("max_sm_mhz", pynvml.NVML_CLOCK_SM),
        max_memory_mhz=max_mhz("max_memory_mhz", pynvml.NVML_CLOCK_MEM),
        ecc=known("ecc", pynvml.nvmlDeviceGetEccMode, handle, take=lambda modes: bool(modes[0])),
        mig=mig,
        mig_uuids=tuple(_mig_uuids(handle)) if mig else (),
        driver_version=known("driver_version", pynvml.nvmlSystemGetDriverVersion),
        stand_in=is_stand_in(),
        unknown=unknown,
    )


def _mig_uuids(handle: Any) -> Iterator[str]:
    _, *devices = _with_mig_devices(handle)
    yield from filter(None, (answer(pynvml.nvmlDeviceGetUUID, device) for device in devices))


def _with_mig_devices(handle: Any) -> Iterator[Any]:
    """A handle and those of its MIG devices; nothing for None."""
    if handle:
        yield handle
        for index in range(answer(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            if device := answer(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index):
                yield device
