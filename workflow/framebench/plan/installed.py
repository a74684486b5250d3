"""The check of a new environment, run by its own interpreter: are the lock's packages there, and do they import?

It is called by its path, with JSON on stdin: the pins, the module to import, and a folder with pip, whose parser of
pins it uses. It ends with one line where something is not as the lock has it. It needs the standard library alone, and
a start of Snakemake compares its own packages by it too.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


def named(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub("[-_.]+", "-", name).lower()


def differing(pins: Iterable[str], found: Mapping[str, str], requirement: Callable[[str], Any]) -> Iterator[str]:
    """A line on each pin that applies here and is not met by the versions found, by the packages' `named` names.

    `requirement`: the class `Requirement` of packaging, or of the one that pip brings along.
    """
    for pin in map(requirement, pins):
        version = found.get(named(pin.name))
        if pin.marker and not pin.marker.evaluate():
            continue
        if version is None or not pin.specifier.contains(version, prereleases=True):
            yield f"{pin.name}{pin.specifier} is asked for, and {version or 'nothing of it'} is there"


def of_this_python(pins: Iterable[str], packages: str) -> str | None:
    """The first pin that this interpreter's packages do not meet; None if they meet all.

    `packages`: a folder with pip.
    """
    found = {named(one.name): one.version for one in importlib.metadata.distributions() if one.name}
    sys.path.append(packages)
    requirement = importlib.import_module("pip._vendor.packaging.requirements").Requirement
    sys.path.remove(packages)
    return next(differing(pins, found, requirement), None)


def broken(module: str) -> str | None:
    """The reason why a module cannot be imported, in one line; None if it can, or if there is none of that name."""
    try:
        if importlib.util.find_spec(module):
            importlib.import_module(module)
    except Exception as error:  # a package's import may raise anything
        traceback.print_exc()
        return f"{module} cannot be imported: {type(error).__name__}: {' '.join(str(error).splitlines()[:1])}"
    return None


if __name__ == "__main__":
    pins, module, packages = json.load(sys.stdin)
    sys.exit(of_this_python(pins, packages) or broken(module))
