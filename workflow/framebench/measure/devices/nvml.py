"""NVIDIA's management library: the cards of this machine and their properties."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pynvml

MIB = 1024**2
MARKER = "framebench_stand_in"  # symbol of the tests' stand-in for the driver
# After one of these codes of nvml.h, the card answers no further query.
LOST = {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED}
NO_DRIVER = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "libnvidia-ml.so.1 cannot be loaded",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "libnvidia-ml.so.1 is there, but no driver is loaded",
}


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
    name: str
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


@dataclass(frozen=True)
class Process:
    """A process that computes on a card; its memory is None where the driver does not know it."""

    pid: int
    used_mib: float | None


@contextmanager
def session() -> Iterator[None]:
    """Load the library, so that the other functions here can be called; NoDriverError where there is none."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value in NO_DRIVER:
            raise NoDriverError(NO_DRIVER[error.value]) from None
        raise BrokenDriverError(f"the NVIDIA driver does not answer: {error}") from None
    try:
        yield
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def is_stand_in() -> bool:
    """True for the tests' stand-in, whose cards are not real."""
    return hasattr(pynvml.nvmlLib, MARKER)


def answer(query: Callable[..., Any], *arguments: object) -> Any:
    """The answer to a query of pynvml; None where this card or this driver does not support it.

    Raises CardLostError where the card no longer answers anything.
    """
    try:
        return query(*arguments)
    except pynvml.NVMLError as error:
        if error.value in LOST:
            raise CardLostError(f"{query.__name__}: {error}") from None
        return None
    except pynvml.NVMLLibraryMismatchError:  # raised by pynvml for FUNCTION_NOT_FOUND in some of its functions
        return None


def cards() -> list[Card]:
    """The cards that this process may query, by UUID; CardLostError where one is lost."""
    count = answer(pynvml.nvmlDeviceGetCount) or 0
    handles = [answer(pynvml.nvmlDeviceGetHandleByIndex, index) for index in range(count)]
    return sorted((_card(handle) for handle in handles if handle), key=lambda card: card.uuid)


def card(uuid: str) -> Card:
    """The card, or MIG device, of this UUID; NoCardError where this machine has none."""
    return _card(handle(uuid))


def card_of_cuda(uuid: str) -> Card:
    """The card, or MIG device, of this UUID in CUDA's notation, without GPU- or MIG-; NoCardError if there is none."""
    is_mig = not answer(pynvml.nvmlDeviceGetHandleByUUID, f"GPU-{uuid}".encode())
    return card(f"{'MIG' if is_mig else 'GPU'}-{uuid}")


def is_model(name: str, model: str) -> bool:
    """True where the words of `model` follow one another in a card's name, ignoring punctuation and case."""
    return f" {' '.join(words(model))} " in f" {' '.join(words(name))} "


def words(model: str) -> list[str]:
    return re.findall("[a-z0-9]+", model.lower())


def handle(uuid: str) -> Any:
    """Handle of the card, or MIG device, of this UUID for pynvml's functions; NoCardError where there is none."""
    found = answer(pynvml.nvmlDeviceGetHandleByUUID, uuid.encode())
    if not found:
        there = ", ".join(f"{card.uuid} ({card.name})" for card in cards())
        raise NoCardError(f"{uuid} is not on this machine, which has {there or 'no card'}")
    return found


def processes(uuid: str) -> list[Process] | None:
    """The processes that compute on a card; None where it does not report them."""
    found = answer(pynvml.nvmlDeviceGetComputeRunningProcesses, handle(uuid))
    if found is None:
        return None
    return [Process(one.pid, one.usedGpuMemory and one.usedGpuMemory / MIB) for one in found]


def used_mib(handle: Any) -> float | None:
    """Memory in use on a card now, without the driver's reserve where it is reported apart; None: unknown."""
    memory = answer(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    memory = memory or answer(pynvml.nvmlDeviceGetMemoryInfo, handle)
    return memory and memory.used / MIB


def _card(handle: Any) -> Card:
    pci = answer(pynvml.nvmlDeviceGetPciInfo, handle)
    memory = answer(pynvml.nvmlDeviceGetMemoryInfo, handle)
    limit_mw = answer(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    ecc, mig = answer(pynvml.nvmlDeviceGetEccMode, handle), answer(pynvml.nvmlDeviceGetMigMode, handle)
    return Card(
        uuid=answer(pynvml.nvmlDeviceGetUUID, handle),
        name=answer(pynvml.nvmlDeviceGetName, handle),
        pci_bus_id=pci and pci.busId,
        memory_total_mib=memory and memory.total / MIB,
        power_limit_w=limit_mw and limit_mw / 1000,
        max_sm_mhz=answer(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM),
        max_memory_mhz=answer(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_MEM),
        ecc=ecc and bool(ecc[0]),
        mig=mig and bool(mig[0]),
        mig_uuids=tuple(_mig_uuids(handle)) if mig and mig[0] else (),
        driver_version=answer(pynvml.nvmlSystemGetDriverVersion),
        stand_in=is_stand_in(),
    )


def _mig_uuids(handle: Any) -> Iterator[str]:
    for index in range(answer(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        if device := answer(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index):
            yield answer(pynvml.nvmlDeviceGetUUID, device)
