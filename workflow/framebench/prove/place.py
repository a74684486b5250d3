"""The environment for a user's code: the framework's, with the folder's requirements.txt on top of it."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framebench import usermodels
from framebench.plan import bindings, environments, installation
from framebench.plan.catalogue import ROOT
from framebench.plan.refusals import ConfigError
from framebench.plan.yaml_file import readable

# The workflow passes a campaign's `packages` and `interpreters` in this environment variable.
VARIABLE = "FRAMEBENCH_CAMPAIGN"


@dataclass(frozen=True)
class Place:
    """An interpreter, the digest of its packages from framebench, and the user's packages on top of them."""

    python: str
    digest: str
    requirements: Mapping[str, Any] | None = None


def of(framework: str, folder: Path, log: Path) -> Place:
    """The place of a framework for a user's folder, made if it is missing; ConfigError if there can be none.

    `packages` and `interpreters` of the campaign apply, and outside of one those of config.yaml.
    """
    campaign = os.environ.get(VARIABLE)
    told = json.loads(campaign) if campaign else readable(ROOT / "config.yaml")
    origin = "the campaign's configuration" if campaign else "config.yaml"
    packages = told.get("packages", "auto")
    if packages == "auto":
        packages = "cpu" if bindings.is_cpu_alone(told.get("devices", "auto")) else environments.packages(packages)
    interpreters = {name: str(ROOT / path) for name, path in (told.get("interpreters") or {}).items()}
    try:
        found = environments.of(framework, packages, interpreters, "")
    except environments.InterpreterError as error:
        raise ConfigError(f"{origin}: {error}") from None
    wanted = folder / usermodels.REQUIREMENTS
    if found.packages:
        if wanted.is_file():
            raise ConfigError(
                f"{wanted}: cannot be installed into {found.python}, which {origin} names under interpreters;"
                " install it there yourself, and leave the file out of the folder"
            )
        return Place(found.python, found.digest)
    lock = environments.lock_of(framework, packages)
    if not wanted.is_file():
        return Place(_installed(lock, ROOT / found.prefix, log, None), found.digest)
    python = _installed(lock, ROOT / environments.prefix(lock, wanted), log, wanted)
    return Place(python, found.digest, _added(lock, python))


def _installed(lock: Path, there: Path, log: Path, wanted: Path | None) -> str:
    """The Python of the environment at `there`, which is made if it is not usable."""
    try:
        installation.provide(lock, there, log, on_top=wanted)
    except installation.InstallationError as error:
        raise ConfigError(f"{wanted or lock}: not installed: {error} (log: {log})") from None
    return str(there / "bin" / "python")


def _added(lock: Path, python: str) -> dict[str, Any]:
    """Name of an environment, and its packages that the lock does not have."""
    found = environments.site("requirements", python, (), "")
    locked = {canonical(pin.split()[0]) for pin in installation.pins(lock)}
    added = [one for one in found.packages or () if canonical(one) not in locked and not one.startswith("python==")]
    return {"environment": Path(found.prefix).name, "packages": added}


def canonical(pin: str) -> str:
    """A pin as `name==version`, with the name normalised as indexes compare it."""
    name, _, version = pin.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"
