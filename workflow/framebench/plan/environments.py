"""The isolated environment of each framework: its lock and its folder.

A folder under .venvs/ is named by the digest of its lock's pins and of the Python version, so new pins make a new
environment, and a new comment in a lock does not. A site's own interpreter, from a module or a vendor's image, can take
its place, with whatever packages it has: they are listed, and their digest replaces the lock's.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from framebench import variables
from framebench.measure.devices import nvml
from framebench.plan import catalogue
from framebench.plan.installation import MARKER, pins

# A line of JSON, after whatever the interpreter prints by itself: facts on itself, on the given modules, and on the
# packages to which its pynvml belongs.
DESCRIBE = """
import importlib.metadata, importlib.util, json, platform, re, sys
installed = list(importlib.metadata.distributions())
pynvml = importlib.util.find_spec("pynvml")
def owns(one):
    return one.files is None or any(str(one.locate_file(file)) == pynvml.origin for file in one.files)
print("\\n" + json.dumps({
    "prefix": sys.prefix,
    "python_version": platform.python_version(),
    "packages": sorted({f"{one.name}=={one.version}" for one in installed}),
    "missing": [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None],
    "pynvml": [[one.name, one.version] for one in installed
               if pynvml and re.search("nv.*ml", one.name.lower()) and owns(one)],
}))
"""
OLDEST_PYTHON = (3, 11)
# Earlier ones lack the calls of the sampler, or read other structures than the drivers since 535.98 fill.
NVML_PACKAGE, OLDEST_NVML_PACKAGE = "nvidia-ml-py", (12, 535, 108)
ANSWER_S = 120  # longest wait for a site's interpreter, which may be on a slow shared disk


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

    `interpreters`: name of a framework or environment → path of an interpreter. InterpreterError as `site` has it.
    """
    for name in (framework, catalogue.adapter(framework).environment):
        if name not in interpreters:
            continue
        try:
            return site(name, interpreters[name], catalogue.third_party(framework), results)
        except InterpreterError as error:
            raise InterpreterError(f"interpreters.{name}: {error}") from None
    lock = lock_of(framework, packages)
    return Environment(f"{prefix(lock)}/bin/python", prefix(lock), digest(lock), f"{prefix(lock)}/{MARKER}")


@cache
def site(name: str, python: str, modules: tuple[str, ...], results: str) -> Environment:
    """The environment of a site's interpreter; InterpreterError where it does not run or lacks a module."""
    seen = _described(python, modules)
    if tuple(map(int, seen["python_version"].split(".")[:2])) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        raise InterpreterError(f"{python!r} is Python {seen['python_version']}; {oldest} or newer is needed")
    if seen["missing"]:
        raise InterpreterError(f"{python!r} cannot import {', '.join(seen['missing'])}")
    if "pynvml" in modules:
        _refuse_old_nvml_package(python, seen["pynvml"])
    listed = [f"python=={seen['python_version']}", *seen["packages"]]
    digest = hashlib.sha256("\n".join(listed).encode()).hexdigest()[:12]
    return Environment(python, seen["prefix"], digest, f"{results}/environments/{name}-{digest}.txt", tuple(listed))


def _described(python: str, modules: Iterable[str]) -> dict[str, Any]:
    """Facts from an interpreter, started as a run starts it; InterpreterError where it does not answer."""
    try:
        said = subprocess.run(
            [python, "-P", "-c", DESCRIBE, *modules],
            env=variables.over(variables.made(python), os.environ, site=True),
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=ANSWER_S,
            encoding="utf-8",
        ).stdout
        return json.loads([line for line in said.splitlines() if line.startswith("{")][-1])
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        reason = (lines or [f"it ends with code {error.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"no answer within {ANSWER_S} s"
    except (ValueError, IndexError):
        reason = f"it answers {said[:80]!r}"
    except OSError as error:
        reason = str(error)
    raise InterpreterError(f"{python!r} is no Python that runs: {reason}")


def _refuse_old_nvml_package(python: str, owners: Sequence[Sequence[str]]) -> None:
    """InterpreterError where pynvml is not of NVIDIA's package in a version that is new enough, and of it alone."""
    named = [(re.sub("[-_.]+", "-", name).lower(), version) for name, version in owners]
    versions = [tuple(map(int, re.findall(r"\d+", version)))[:3] for _, version in named]
    if [name for name, _ in named] == [NVML_PACKAGE] and versions[0] >= OLDEST_NVML_PACKAGE:
        return
    told = " and ".join(f"{name} {version}" for name, version in named) or "an unknown package"
    needed = f"{NVML_PACKAGE} {'.'.join(map(str, OLDEST_NVML_PACKAGE))} or newer"
    raise InterpreterError(f"{python!r} has the module pynvml of {told}; {needed} is needed in its place")


def packages(choice: str) -> str:
    """`cpu` or `cuda`: the choice itself; for `auto`, `cuda` where NVML shows a card on which a run can compute."""
    if choice != "auto":
        return choice
    try:
        with nvml.session():
            return "cuda" if nvml.cards() else "cpu"
    except nvml.NvmlError:
        return "cpu"


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
