"""The isolated environment of each framework: its lock and its folder.

A folder under .venvs/ is named by the digest of its lock's pins and of the Python version, so new pins make a new
environment, and a new comment in a lock does not. A site's own interpreter, from a module or a vendor's image, can take
its place, with whatever packages it has: they are listed, and a digest of those that the framework depends on replaces
the lock's.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from framebench import variables
from framebench.measure.devices import nvml
from framebench.plan import catalogue
from framebench.plan.installation import MARKER, pins

# A line of JSON, after whatever the interpreter prints by itself: facts on itself, on the given modules with the
# packages to which each belongs, and on all packages with their requirements.
DESCRIBE = """
import importlib.metadata, importlib.util, json, platform, re, sys
installed = list(importlib.metadata.distributions())
found = {name: importlib.util.find_spec(name) for name in sys.argv[1:]}
owners = getattr(importlib.metadata, "packages_distributions", dict)()
def owns(one):
    return one.files is None or any(str(one.locate_file(file)) == found["pynvml"].origin for file in one.files)
print("\\n" + json.dumps({
    "prefix": sys.prefix,
    "python_version": platform.python_version(),
    "packages": sorted({f"{one.name}=={one.version}" for one in installed}),
    "requires": [[one.name, one.version, one.requires or []] for one in installed],
    "missing": [name for name, spec in found.items() if spec is None],
    "owners": {name: owners.get(name, []) for name in found},
    "pynvml": [[one.name, one.version] for one in installed
               if found.get("pynvml") and re.search("nv.*ml", one.name.lower()) and owns(one)],
}))
"""
OLDEST_PYTHON = (3, 11)
# Earlier ones lack the calls of the sampler, or read other structures than the drivers since 535.98 fill.
NVML_PACKAGE, OLDEST_NVML_PACKAGE = "nvidia-ml-py", (12, 535, 108)
PREFIX = "# sys.prefix "  # start of the first line of a listing
DIGITS = 12
UNKNOWN = "unknown"  # in place of a digest
ANSWER_S = 120  # longest wait for a site's interpreter, which may be on a slow shared disk


class InterpreterError(Exception):
    """A site's interpreter cannot be used; one line with the reason."""


@dataclass(frozen=True)
class Environment:
    """Place of a framework: the interpreter, its sys.prefix, and the digest of its packages in the records."""

    python: str
    prefix: str
    digest: str
    ready: str | None  # file that exists when the interpreter can be used; None where that is not known
    packages: tuple[str, ...] | None = None  # of a site's interpreter
    fault: str | None = None  # why this site's interpreter cannot be used here

    @property
    def listing(self) -> tuple[str, ...]:
        """The lines of the file of a site's interpreter in the results, which `recorded` reads."""
        return (f"{PREFIX}{self.prefix}", *(self.packages or ()))


def of(framework: str, packages: str, interpreters: Mapping[str, str], results: str) -> Environment:
    """The environment of a framework: its lock's, or that of the site's interpreter for it, if there is one.

    `interpreters`: name of a framework or environment → path of an interpreter. InterpreterError as `site` has it.
    """
    name = site_of(framework, interpreters)
    if name is None:
        lock = lock_of(framework, packages)
        return Environment(f"{prefix(lock)}/bin/python", prefix(lock), digest(lock), f"{prefix(lock)}/{MARKER}")
    try:
        return site(framework, interpreters[name], catalogue.third_party(framework), results)
    except InterpreterError as error:
        raise InterpreterError(f"interpreters.{name}: {error}") from None


def site_of(framework: str, interpreters: Mapping[str, str]) -> str | None:
    """The name under which a framework has a site's interpreter, its own or its environment's; None without one."""
    names = (framework, catalogue.adapter(framework).environment)
    return next((name for name in names if name in interpreters), None)


def here_or_recorded(framework: str, packages: str, interpreters: Mapping[str, str], results: str) -> Environment:
    """The environment as `of` has it; where its interpreter cannot be used here, the one of the results, with `fault`.

    Results of another machine are drawn and packed without its interpreter: nothing is measured.
    """
    try:
        return of(framework, packages, interpreters, results)
    except InterpreterError as error:
        found = recorded(framework, results)
        return replace(found, python=interpreters[site_of(framework, interpreters) or ""], fault=str(error))


def recorded(framework: str, results: str) -> Environment:
    """The site's environment that these results have last listed for a framework; one without a file if none is."""
    listings = Path(results, "environments").glob(f"{framework}-{'[0-9a-f]' * DIGITS}.txt")
    for listing in sorted(listings, key=lambda one: one.stat().st_mtime, reverse=True):
        first, *packages = listing.read_text(encoding="utf-8").splitlines()
        ready = f"{results}/environments/{listing.name}"
        return Environment("", first.removeprefix(PREFIX), listing.stem[-DIGITS:], ready, tuple(packages))
    return Environment("", "", UNKNOWN, None, ())


@cache
def site(framework: str, python: str, modules: tuple[str, ...], results: str) -> Environment:
    """The environment of a site's interpreter; InterpreterError where it does not run or lacks a module.

    Its digest is that of Python and of the packages that the modules belong to, with all that these require.
    """
    seen = _described(python, modules)
    if tuple(map(int, seen["python_version"].split(".")[:2])) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        raise InterpreterError(f"{python!r} is Python {seen['python_version']}; {oldest} or newer is needed")
    if seen["missing"]:
        raise InterpreterError(f"{python!r} cannot import {', '.join(seen['missing'])}")
    if "pynvml" in modules:
        _refuse_old_nvml_package(python, seen["pynvml"])
    itself = f"python=={seen['python_version']}"
    digest = hashlib.sha256("\n".join([itself, *_depended(seen)]).encode()).hexdigest()[:DIGITS]
    listed = (itself, *seen["packages"])
    return Environment(python, seen["prefix"], digest, f"{results}/environments/{framework}-{digest}.txt", listed)


def _depended(seen: Mapping[str, Any]) -> list[str]:
    """The packages, `name==version`, that the modules belong to, with all that these require, sorted.

    All packages of the interpreter where one module belongs to none of them, or a requirement cannot be read.
    """
    versions: dict[str, set[str]] = {}
    requires: dict[str, set[str]] = {}
    for name, version, required in seen["requires"]:
        versions.setdefault(canonicalize_name(name), set()).add(version)
        requires.setdefault(canonicalize_name(name), set()).update(required)
    about = {"python_full_version": seen["python_version"]}
    about["python_version"] = ".".join(seen["python_version"].split(".")[:2])
    found: set[tuple[str, str]] = set()  # packages with one of their extras, or with ""
    waiting = [(canonicalize_name(name), "") for names in seen["owners"].values() for name in names]
    try:
        while waiting:
            one = waiting.pop()
            if one in found or one[0] not in versions:
                continue
            found.add(one)
            for required in map(Requirement, requires[one[0]]):
                if not required.marker or required.marker.evaluate({**about, "extra": one[1]}):
                    waiting += [(canonicalize_name(required.name), extra) for extra in ("", *required.extras)]
    except InvalidRequirement:
        return seen["packages"]
    if not all(seen["owners"].values()):
        return seen["packages"]
    return sorted({f"{name}=={version}" for name, _ in found for version in versions[name]})


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
    # A folder that stands twice on the path lists its packages twice.
    named = sorted({(canonicalize_name(name), version) for name, version in owners})
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
    return hashlib.sha256("\n".join([platform.python_version(), *pins(lock)]).encode()).hexdigest()[:DIGITS]


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
    return hashlib.sha256(requirements.read_bytes()).hexdigest()[:DIGITS]
