"""Packs the project with every wheel that it installs, for a machine without a network: `make bundle`.

A machine that reaches no package index gets one file: the tracked files of the project, the commit, and the wheels of
the locks for its Python. There, every installation takes its packages from the folder of wheels and asks no network.
"""

import argparse
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.markers import Marker

from framebench import files
from framebench.plan import catalogue, environments
from framebench.plan.installation import (
    UV_LOCK,
    WHEELS,
    bootstrap,
    options,
    pins,
    pip_environment,
    pip_settings,
    reason,
)
from framebench.revision import COMMIT, digests, revision

PYTHONS = ("3.11", "3.12", "3.13")
# Builds of the frameworks; with `keras`, the machine has PyTorch or JAX, and gets what hardly any image has besides.
PACKAGES = ("cpu", "cuda", "keras")
BUILD = "setuptools"  # the newest, as where an index is asked
WORKFLOW_LOCK = Path("envs/workflow.txt")
BESIDES = ("keras", "namex", "optree", "nvidia-ml-py", "psutil")
# A wheel for an older C library runs under a newer one; pip takes the tags one by one.
GLIBC_MINORS = (5, 12, 17, 24, 27, 28, 31, 34)
TOP = "framebench"  # folder in the archive
LEFT_OUT = "results/"  # of the tracked files: results of others


class BundleError(Exception):
    """The bundle cannot be made; one line with the reason."""


def needed(lock: Path, python: str, machine: str) -> dict[str, str]:
    """The lock's packages for Linux on this machine with this Python: name → requirement with its hashes."""
    there = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    found = {}
    for line in pins(lock):
        pin, *hashes = line.split(" --hash=")
        requirement, _, marker = pin.partition(";")
        if not marker or Marker(marker).evaluate(there):
            name = requirement.partition("==")[0].strip().lower()
            found[name] = " ".join([requirement.strip(), *(f"--hash={one.strip()}" for one in hashes)])
    return found


def locks(packages: str, frameworks: Sequence[str]) -> dict[Path, tuple[str, ...] | None]:
    """The locks to take along, each with the names of its packages; None for all of them."""
    ours: dict[Path, tuple[str, ...] | None] = {UV_LOCK: None, WORKFLOW_LOCK: None}
    if packages == "keras":
        return ours | {environments.lock_of("keras-torch", "cuda"): BESIDES}
    return ours | {environments.lock_of(framework, packages): None for framework in frameworks}


def download(wanted: Mapping[str, str], index: Sequence[str], folder: Path, python: str, machine: str) -> None:
    """Have a wheel of each of these requirements in the folder, or its source where no wheel is published.

    Only a package of pure Python can be one of source: there may be no compiler. BundleError with pip's own reason.
    """
    pip_python = bootstrap(Path(".venvs").resolve(), sys.stderr).parent / "python"
    variables = pip_environment(pip_settings(pip_python, os.environ), os.environ, Path(".venvs"))
    pip: list[str | Path] = [pip_python, "-I", "-m", "pip"]
    tags = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS] + [f"manylinux2014_{machine}"]
    there: list[str | Path] = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    there += [f"--platform={tag}" for tag in tags]
    with_hash = {name: one for name, one in wanted.items() if "--hash=" in one}
    # PyTorch's own index publishes no hashes for some builds; one hash makes pip ask for all.
    for missing in (with_hash, {name: one for name, one in wanted.items() if name not in with_hash}):
        while missing:
            command = [*pip, "download", "--no-deps", *there, *index, "--dest", folder]
            said = _run(command, list(missing.values()), variables)
            if said is None:
                break
            unpublished = re.search(r"No matching distribution found for ([\w.-]+)==", said)
            if not unpublished or unpublished[1].lower() not in missing:
                raise BundleError(reason(said))
            requirement = missing.pop(unpublished[1].lower())
            with tempfile.TemporaryDirectory() as made:
                if said := _run([*pip, "wheel", "--no-deps", "--wheel-dir", made], [requirement], variables):
                    raise BundleError(reason(said))
                (wheel,) = Path(made).glob("*.whl")
                if not wheel.name.endswith("-none-any.whl"):
                    raise BundleError(f"{requirement.split()[0]} has no wheel for Python {python} on {machine}")
            # The source goes along, whose hash the lock has, and what makes a wheel of it there.
            for kind, one in (("--no-binary=:all:", requirement), ("--only-binary=:all:", BUILD)):
                if said := _run([*pip, "download", "--no-deps", kind, "--dest", folder], [one], variables):
                    raise BundleError(reason(said))


def _run(command: Sequence[str | Path], requirements: Sequence[str], variables: Mapping[str, str]) -> str | None:
    """None where pip succeeds with these requirements, or what it said."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(requirements))
        file.flush()
        said = subprocess.run(
            [*command, "--requirement", file.name],
            env=dict(variables),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    return said.stdout + said.stderr if said.returncode else None


def pack(output: Path, wheels: Path, commit: Mapping[str, object]) -> int:
    """Write the archive of the project, the packages and the commit; returns the number of packages."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, encoding="utf-8", check=True).stdout
    tracked = [name for name in listed.split("\0") if Path(name).is_file() and not name.startswith(LEFT_OUT)]
    about = json.dumps(dict(commit) | {"files": digests(Path(), tracked)}, indent=1).encode()
    found = sorted(wheels.iterdir())
    with files.whole(output, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name in tracked:
            archive.add(name, f"{TOP}/{name}")
        for wheel in found:
            archive.add(wheel, f"{TOP}/{WHEELS}/{wheel.name}")
        member = tarfile.TarInfo(f"{TOP}/{COMMIT}")
        member.size, member.mtime = len(about), int(time.time())
        archive.addfile(member, io.BytesIO(about))
    return len(found)


def main(arguments: list[str] | None = None) -> None:
    """Write the bundle; ends with one line on stderr where that fails."""
    parser = argparse.ArgumentParser(prog="make bundle", description=__doc__.partition("\n")[0])
    parser.add_argument("--python", choices=PYTHONS, required=True, help="version of the machine's Python")
    parser.add_argument(
        "--packages", choices=PACKAGES, default="cpu", help="cpu, cuda, or keras beside a site's own PyTorch"
    )
    parser.add_argument("--machine", choices=("x86_64", "aarch64"), default=platform.machine(), help="its processor")
    parser.add_argument("--frameworks", nargs="+", default=list(catalogue.frameworks()), metavar="NAME")
    parser.add_argument("--output", type=Path, metavar="TAR.GZ")
    asked = parser.parse_args(arguments)
    output = asked.output or Path(f"framebench-python{asked.python}-{asked.packages}.tar.gz")
    about = revision()
    if "git_commit" not in about:
        sys.exit(f"the commit of the project is not known, which its records would name: {about['git_commit_reason']}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for lock, names in locks(asked.packages, asked.frameworks).items():
                wanted = needed(lock, asked.python, asked.machine)
                print(f"{lock}: {len(names or wanted)} packages", file=sys.stderr, flush=True)
                chosen = {name: wanted[name] for name in names or wanted}
                download(chosen, options(lock), Path(folder), asked.python, asked.machine)
            count = pack(output, Path(folder), about)
    except (BundleError, OSError) as error:
        sys.exit(str(error))
    print(f"{output}: the project with {count} packages, {output.stat().st_size / 2**20:,.0f} MiB (docs/offline.md)")


if __name__ == "__main__":
    main()
