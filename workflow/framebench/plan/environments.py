"""The isolated environment of each framework: its lock and its folder.

A folder under .venvs/ is named by the digest of its lock's pins and of the Python version, so new pins make a new
environment, and a new comment in a lock does not. A site's own interpreter, from a module or a vendor's image, can take
its place, with whatever packages it has: they are listed, and their digest replaces the lock's.
"""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from framebench.plan import catalogue
from framebench.plan.installation import MARKER, pins

DRIVER = Path("/proc/driver/nvidia/version")  # present wherever NVIDIA's kernel driver is loaded


# Facts from a site's interpreter on itself and on the given modules.
DESCRIBE = """
import importlib.metadata, importlib.util, json, platform, sys
json.dump({
    "prefix": sys.prefix,
    "python_version": platform.python_version(),
    "packages": sorted({f"{one.name}=={one.version}" for one in importlib.metadata.distributions()}),
    "missing": [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None],
}, sys.stdout)
"""
OLDEST_PYTHON = (3, 11)


class InterpreterError(Exception):
    """A site's interpreter cannot be used; one line with the reason."""


@dataclass(frozen=True)
class Environment:
    """Place of a framework: the interpreter, its sys.prefix, and the digest of its packages in the records."""

    python: str
    prefix: str
    digest: str
    ready: str  # file that exists when the interpreter can be used
    packages: tuple[str, ...] | None = None  # of a site's interpreter


def of(framework: str, packages: str, interpreters: Mapping[str, str], results: str) -> Environment:
    """The environment of a framework: its lock's, or that of the site's interpreter for it, if there is one.

    `interpreters`: name of an environment → path of an interpreter. InterpreterError as `site` has it.
    """
    name = catalogue.adapter(framework).environment
    if name in interpreters:
        try:
            return site(name, interpreters[name], catalogue.third_party(framework), results)
        except InterpreterError as error:
            raise InterpreterError(f"interpreters.{name}: {error}") from None
    lock = lock_of(framework, packages)
    return Environment(f"{prefix(lock)}/bin/python", prefix(lock), digest(lock), f"{prefix(lock)}/{MARKER}")


@cache
def site(name: str, python: str, modules: tuple[str, ...], results: str) -> Environment:
    """The environment of a site's interpreter; InterpreterError where it does not run or lacks a module."""
    try:
        said = subprocess.run([python, "-c", DESCRIBE, *modules], capture_output=True, text=True, check=True).stdout
        seen = json.loads(said)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise InterpreterError(f"{python!r} is no Python that runs: {error}") from None
    if tuple(map(int, seen["python_version"].split(".")[:2])) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        raise InterpreterError(f"{python!r} is Python {seen['python_version']}; {oldest} or newer is needed")
    if seen["missing"]:
        raise InterpreterError(f"{python!r} cannot import {', '.join(seen['missing'])}")
    listed = [f"python=={seen['python_version']}", *seen["packages"]]
    digest = hashlib.sha256("\n".join(listed).encode()).hexdigest()[:12]
    return Environment(python, seen["prefix"], digest, f"{results}/environments/{name}-{digest}.txt", tuple(listed))


def packages(choice: str) -> str:
    """`cpu` or `cuda`: the choice itself; `auto` depends on this machine's driver."""
    return choice if choice != "auto" else ("cuda" if DRIVER.exists() else "cpu")


def lock_of(framework: str, packages: str) -> Path:
    """The lock that installs `framework`, relative to the repository: the CPU's for one that cannot use a GPU."""
    adapter = catalogue.adapter(framework)
    return Path("envs", f"{adapter.environment}-{packages if packages in adapter.precisions else 'cpu'}.txt")


def digest(lock: Path) -> str:
    """12 hex digits that change with a pin, a hash, or the Python version, and with nothing else."""
    return hashlib.sha256("\n".join([platform.python_version(), *pins(lock)]).encode()).hexdigest()[:12]


def prefix(lock: Path, requirements: Path | None = None) -> str:
    """Folder of the lock's installation, relative to the repository; with a user's requirements on top of it."""
    return f".venvs/{lock.stem}-{digest(lock)}" + (f"-with-{_own_digest(requirements)}" if requirements else "")


def with_requirements(framework: str, packages: str, requirements: Path) -> Environment:
    """The environment of a framework with a user's requirements on top of its lock."""
    lock = lock_of(framework, packages)
    there = prefix(lock, requirements)
    both = f"{digest(lock)}-with-{_own_digest(requirements)}"
    return Environment(f"{there}/bin/python", there, both, f"{there}/{MARKER}")


def _own_digest(requirements: Path) -> str:
    return hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
