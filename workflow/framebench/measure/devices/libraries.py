"""The NVIDIA driver's libraries, also where the loader of this Python does not look for them."""

import ctypes
from contextlib import suppress
from pathlib import Path

# WSL2, GKE and NixOS keep the driver's libraries apart; a Python of its own C library (conda, Nix) looks in none of the
# system's folders.
FOLDERS = (
    *("/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/run/opengl-driver/lib"),
    *("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"),
)


def load(name: str) -> ctypes.CDLL | None:
    """The library of this name, which every later search for the name then finds; None where there is none."""
    for path in (name, *(str(Path(folder, name)) for folder in FOLDERS)):
        with suppress(OSError):
            return ctypes.CDLL(path)
    return None
