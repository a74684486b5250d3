"""The driver and the cards that the CUDA of a lock needs: asked of this machine before gigabytes are installed."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framebench.measure.devices import nvml
from framebench.plan.bindings import Gpu, shown
from framebench.plan.installation import pins


@dataclass(frozen=True)
class Needs:
    """The oldest driver and the oldest compute capability with which a generation of CUDA computes."""

    driver: str
    capability: tuple[int, int]


# Within a generation, a newer CUDA runs on the first one's driver:
# docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
# The cards are those that the frameworks' wheels have programs for: from 6.0 on in TensorFlow
# (tf.sysconfig.get_build_info), from 7.5 on in PyTorch (torch.cuda.get_arch_list) and in CUDA 13 itself.
NEEDS = {12: Needs("525.60.13", (6, 0)), 13: Needs("580.65.06", (7, 5))}


def generation(lock: Path) -> int | None:
    """The generation of CUDA that a lock installs, by the name of its cuDNN; None without CUDA."""
    found = {int(match[1]) for pin in pins(lock) if (match := re.match(r"nvidia-cudnn-cu(\d+)==", pin))}
    return max(found, default=None)


def problem(locks: Mapping[str, Path], gpus: Iterable[Gpu]) -> str | None:
    """The first reason why a framework's packages cannot compute on one of these GPUs, in one line; None without one.

    `locks`: framework → its lock. A machine that does not answer, or has none of the GPUs, is no reason; one on which
    NVML answers and CUDA does not is.
    """
    with suppress(nvml.NvmlError), nvml.session():
        for gpu in gpus:
            capability, cuda = nvml.compute_capability(gpu.uuid), nvml.cuda_version()
            for framework, lock in locks.items():
                of_lock = generation(lock)
                if of_lock is None:
                    continue
                needs = NEEDS[of_lock]
                remedy = f"leave {framework} out of frameworks, or name a Python in interpreters.{framework}"
                if cuda and cuda < (of_lock, 0):
                    return (
                        f"{lock}: its CUDA {of_lock} needs NVIDIA's driver {needs.driver} or newer, and here is "
                        f"{nvml.driver_version()}, for CUDA up to {_dotted(cuda)}: update the driver, {remedy}"
                    )
                if capability and capability < needs.capability:
                    return (
                        f"{lock}: its CUDA {of_lock} needs a GPU of compute capability {_dotted(needs.capability)} or "
                        f"newer, and {gpu.name} ({gpu.model or nvml.UNKNOWN_NAME}) has {_dotted(capability)}: {remedy}"
                    )
        try:
            if not shown():
                return "devices: CUDA shows no GPU here, although NVML does"
        except nvml.BrokenDriverError as error:
            return f"devices: {error}"
    return None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
