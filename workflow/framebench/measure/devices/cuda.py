"""The GPUs that CUDA shows this process, asked of the driver: no index is mapped, and no framework trusted.

libcuda and NVML number the cards in different orders, and a scheduler in a third; a UUID is the same to all.
"""

import ctypes
from uuid import UUID


def device(uuid: str | None) -> str:
    """The frameworks' name of the device to train on: `cpu` without a UUID, else `cuda`.

    Raises RuntimeError where CUDA shows this process another card, or MIG device, than the one of this UUID.
    """
    if not uuid:
        return "cpu"
    shown = visible_uuids()
    if shown != [_bare(uuid)]:
        raise RuntimeError(f"the run was given {uuid}, and CUDA shows it {', '.join(shown) or 'no device'}")
    return "cuda"


def visible_uuids() -> list[str]:
    """UUIDs of the devices in CUDA's order, without NVML's prefix GPU- or MIG-.

    Makes no context on any device. Raises RuntimeError where the driver cannot be asked.
    """
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise RuntimeError(f"CUDA cannot be asked for its devices: {error}") from None
    count = ctypes.c_int()
    _call(library, "cuInit", 0)
    _call(library, "cuDeviceGetCount", ctypes.byref(count))
    return [_uuid(library, index) for index in range(count.value)]


def _uuid(library: ctypes.CDLL, index: int) -> str:
    device, uuid = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    _call(library, "cuDeviceGet", ctypes.byref(device), index)
    _call(library, "cuDeviceGetUuid_v2", uuid, device)
    return str(UUID(bytes=bytes(uuid)))


def _call(library: ctypes.CDLL, function: str, *arguments: object) -> None:
    if code := getattr(library, function)(*arguments):
        raise RuntimeError(f"CUDA cannot be asked for its devices: {function} answers {code}")


def _bare(uuid: str) -> str:
    return uuid.partition("-")[2].lower()
