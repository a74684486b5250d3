"""The GPUs that CUDA shows this process, asked of the driver: no index is mapped, and no framework trusted.

libcuda and NVML number the cards in different orders, and a scheduler in a third; a UUID is the same to all.
`python -P -m framebench.measure.devices.cuda` prints those of the shown devices as JSON.
"""

import ctypes
import json
import sys
from uuid import UUID

from framebench.measure.devices import libraries

VISIBLE = "CUDA_VISIBLE_DEVICES"  # CUDA shows the devices that this variable names, up to the first it does not know
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE of cuda.h
# Errors of cuda.h with one usual cause; NVML answers all the same.
CAUSES = {
    34: "this libcuda.so.1 is the stub for linking; take its folder out of LD_LIBRARY_PATH",
    802: "the GPUs are not ready; start nvidia-fabricmanager on the machine",
    803: "libcuda.so.1 and the loaded driver have different versions; restart the machine, or the container",
    804: "this libcuda.so.1 of a compatibility package is not for this GPU; take its folder out of LD_LIBRARY_PATH",
}


class NoDeviceError(RuntimeError):
    """CUDA shows this process no device."""


def device(uuid: str | None) -> str:
    """The frameworks' name of the device to train on: `cpu` without a UUID, else `cuda`.

    Raises RuntimeError where CUDA shows this process another card, or MIG device, than the one of this UUID.
    """
    if not uuid:
        return "cpu"
    shown = visible_uuids()
    if shown != [bare(uuid)]:
        raise RuntimeError(f"the run was given {uuid}, and CUDA shows it {', '.join(shown) or 'no device'}")
    return "cuda"


def visible_uuids() -> list[str]:
    """UUIDs of the devices in CUDA's order, without NVML's prefix GPU- or MIG-.

    Makes no context on any device. Raises RuntimeError where the driver cannot be asked, and NoDeviceError where it has
    no device for this process.
    """
    library = libraries.load("libcuda.so.1")
    if not library:
        raise RuntimeError("CUDA cannot be asked for its devices: libcuda.so.1 cannot be loaded")
    count = ctypes.c_int()
    _call(library, "cuInit", 0)
    _call(library, "cuDeviceGetCount", ctypes.byref(count))
    return [_uuid(library, index) for index in range(count.value)]


def _uuid(library: ctypes.CDLL, index: int) -> str:
    device, uuid = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    _call(library, "cuDeviceGet", ctypes.byref(device), index)
    # The second version, of CUDA 11.4, tells MIG devices apart; before, there is the first alone.
    _call(library, "cuDeviceGetUuid_v2" if hasattr(library, "cuDeviceGetUuid_v2") else "cuDeviceGetUuid", uuid, device)
    return str(UUID(bytes=bytes(uuid)))


def _call(library: ctypes.CDLL, function: str, *arguments: object) -> None:
    if code := getattr(library, function)(*arguments):
        error = NoDeviceError if code == NO_DEVICE else RuntimeError
        cause = f" ({CAUSES[code]})" if code in CAUSES else ""
        raise error(f"CUDA cannot be asked for its devices: {function} answers {code}{cause}")


def bare(uuid: str) -> str:
    """A UUID of NVML in CUDA's notation."""
    return uuid.partition("-")[2].lower()


def main() -> None:
    try:
        print(json.dumps(visible_uuids()))
    except NoDeviceError:
        print("[]")
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
