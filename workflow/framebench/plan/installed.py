"""The check of a new environment, run by its own interpreter: are the lock's packages there, and do they import?

It is called by its path, with JSON on stdin: the pins, the module to import, and a folder with pip, whose parser of
pins it uses. It ends with one line where something is not as the lock has it.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import re
import sys
import traceback
from collections.abc import Iterable


def named(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub("[-_.]+", "-", name).lower()


def differing(pins: Iterable[str], packages: str) -> str | None:
    """The first pin that this interpreter's packages do not meet, with the version found; None if they meet all.

    `packages`: a folder with pip.
    """
    found = {named(one.name): one.version for one in importlib.metadata.distributions() if one.name}
    sys.path.append(packages)
    requirement = importlib.import_module("pip._vendor.packaging.requirements").Requirement
    sys.path.remove(packages)
    for pin in map(requirement, pins):
        if pin.marker and not pin.marker.evaluate():
            continue
        version = found.get(named(pin.name))
        if version is None or not pin.specifier.contains(version, prereleases=True):
            return f"{pin.name}{pin.specifier} is asked for, and {version or 'nothing of it'} is there"
    return None


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
    sys.exit(differing(pins, packages) or broken(module))
