"""The conditions of a start of Snakemake in this project: a fault is told in one line, before Snakemake reads anything.

profiles/default/config.yaml calls `prepare`, since no other file of a workflow is read as early. Until the packages are
known to be those of the lock, only the standard library and a dependency of Snakemake's own are imported.
"""

import argparse
import getpass
import os
import re
import shlex
import sys
import tempfile
from itertools import chain
from pathlib import Path

from framebench.plan.installation import versions_of
from framebench.plan.installed import differing, named

ROOT = Path(__file__).parents[3]
LOCK = ROOT / "envs" / "workflow.txt"
CACHE = ROOT / ".snakemake" / "cache"
KEY = re.compile(r"[a-zA-Z_][\w-]*\w")  # Snakemake's own rule for --config


def prepare(arguments: list[str]) -> None:
    """Make the surroundings such that Snakemake can start with these arguments; end with one line where it cannot."""
    refuse_other_packages(LOCK)
    refuse_unreadable(arguments)
    from framebench.plan import internals  # noqa: PLC0415

    internals.read_strictly()
    name_user()
    keep_caches()
    forget_variables()


def refuse_other_packages(lock: Path = LOCK) -> None:
    """End with one line where this Python has other packages than the lock's: another Snakemake was started."""
    from packaging.requirements import Requirement  # noqa: PLC0415

    found: dict[str, str] = {}
    # Not importlib.metadata, which reads a file of every package, and takes a tenth of a second.
    for folder in map(Path, sys.path):
        for info in folder.glob("*.dist-info"):
            name, _, version = info.stem.partition("-")
            found.setdefault(named(name), version)
    if different := list(differing(versions_of(lock), found, Requirement)):
        more = f", and {len(different) - 1} more" if different[1:] else ""
        first = f"delete {sys.prefix} and then " if Path(sys.prefix).parent == ROOT / ".venvs" else ""
        sys.exit(
            f"{sys.executable} has other packages than {lock.parent.name}/{lock.name} ({different[0]}{more}): "
            f'{first}put the project\'s own Snakemake first, PATH="$(make --silent path):$PATH"'
        )


def refuse_other_place(project: Path) -> None:
    """End with one line where the working folder is not the project's, to which every path in the rules is relative."""
    if not project.samefile(Path.cwd()):
        sys.exit(
            f"{Path.cwd()} is not the project's folder: start Snakemake in {project.resolve()}, without --directory; "
            "results may be anywhere, --config results=/path/of/a/folder"
        )


def refuse_no_cores(cores: int) -> None:
    """End with one line where no job could ever begin: Snakemake would wait for one without a word."""
    if cores < 1:
        sys.exit(f"--cores {cores}: no job can begin; allowed: all, or a whole number from 1")


def refuse_unreadable(arguments: list[str]) -> None:
    """End with one line for a file of --configfile or an entry of --config that Snakemake would answer by a traceback.

    `arguments`: the command line, which Snakemake itself has found well-formed.
    """
    from framebench.plan.yaml_file import ConfigError, readable  # noqa: PLC0415

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", action="append", default=[], type=Path)
    parser.add_argument("--config", "-C", nargs="*", action="append", default=[])
    asked, _ = parser.parse_known_args(arguments)
    for name, groups in vars(asked).items():
        if groups[1:]:
            together = shlex.join(str(one) for group in groups for one in group)
            sys.exit(
                f"--{name}: is given {len(groups)} times, and Snakemake reads the last alone: write --{name} {together}"
            )
    for file in chain(*asked.configfile):
        if file.is_fifo():
            sys.exit(f"{file}: is a pipe, and a configuration is read several times: write it to a file")
        try:
            readable(file)
        except ConfigError as error:
            hint = "" if file.exists() else "; a target comes before --configfile, or after --"
            sys.exit(f"{error}{hint}")
    for entry in chain(*asked.config):
        key, equals, value = entry.partition("=")
        if not equals:
            sys.exit(f"--config {shlex.quote(entry)}: is no KEY=VALUE; a target comes before --config, or after --")
        first, *inner = key.split(".")
        if all(map(KEY.fullmatch, [first, *inner])):
            if not inner:
                continue
            for name in reversed(inner):
                value = f"{{{name}: {value}}}"
            allowed = f"write --config {shlex.quote(f'{first}={value}')}"
        else:
            allowed = "allowed: a key of config.yaml; anything inside it belongs in a file for --configfile"
        sys.exit(f"--config {shlex.quote(entry)}: {key!r} is no key; {allowed}")


def name_user() -> None:
    """Name a user without a name by the number: Snakemake, PyTorch and others ask for one."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())


def keep_caches() -> None:
    """Move the caches of Snakemake and of all that it starts to the project where the user has no place for them."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "snakemake").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except (OSError, RuntimeError):  # the latter where nobody knows a home
        os.environ["XDG_CACHE_HOME"] = str(CACHE)


def forget_variables() -> None:
    """Have every command start as it is: a user's file for bash may change the folder, a function be a program.

    NumPy and Matplotlib take a date for builds, and end their import where it is empty.
    """
    for name in list(os.environ):
        if name in ("BASH_ENV", "BASHOPTS", "SHELLOPTS", "SOURCE_DATE_EPOCH") or name.startswith("BASH_FUNC_"):
            del os.environ[name]
