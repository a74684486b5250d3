"""An alternative memory allocator for the measuring process, preloaded from a package of its environment's lock."""

from pathlib import Path

# Libraries to preload, in this order, from the lib folder of the environment; `system` is the C library's allocator.
# tbbmalloc: oneTBB's, from the package `tbb`; its proxy replaces malloc as its documentation says
# (uxlfoundation.github.io/oneTBB/main/tbb_userguide/Linux_C_Dynamic_Memory_Interface_Replacement.html).
LIBRARIES: dict[str, tuple[str, ...]] = {
    "system": (),
    "tbbmalloc": ("libtbbmalloc.so.2", "libtbbmalloc_proxy.so.2"),
}


def preload(allocator: str, prefix: str) -> dict[str, str]:
    """The environment variable that preloads the allocator from the environment at `prefix`, if one is needed.

    Raises FileNotFoundError naming a library that the environment lacks: the loader would go on without it.
    """
    paths = [Path(prefix, "lib", name).absolute() for name in LIBRARIES[allocator]]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing, which the allocator {allocator} needs")
    return {"LD_PRELOAD": " ".join(map(str, paths))} if paths else {}


def check(allocator: str) -> None:
    """Raise RuntimeError where the requested allocator is not loaded into this process."""
    loaded = Path("/proc/self/maps").read_text(encoding="utf-8")
    for name in LIBRARIES[allocator]:
        if name.removesuffix(".2") not in loaded:
            raise RuntimeError(f"the allocator {allocator} is not in effect: {name} was not loaded")
