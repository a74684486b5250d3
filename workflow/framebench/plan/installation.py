"""Virtual environments made from hashed locks by uv, with the index settings that the user gave to pip.

It needs the standard library alone, since it makes the environments for everything else. uv itself is installed by pip,
from a lock too. People configure pip for their network and not uv, so pip's index, proxy and certificate settings are
handed on; the rest of that configuration, such as constraints, would change what is installed.
"""

import argparse
import ast
import contextlib
import fcntl
import hashlib
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

UV_LOCK = Path("envs/uv.txt")
MARKER = ".complete"
# pip's name of a setting → uv's variables for the same. Lists are separated by spaces in both but for find-links.
SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX",),
    "extra-index-url": ("UV_INDEX",),
    "find-links": ("UV_FIND_LINKS",),
    "no-index": ("UV_NO_INDEX",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "proxy": ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"),
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "timeout": ("UV_HTTP_TIMEOUT",),
}
# Settings on the source of packages; with one of them, a lock's own extra index is the second choice.
PLACES = ("index-url", "extra-index-url", "find-links", "no-index")
# pip's sections from the weakest to the strongest.
SECTIONS = ("global", "install", ":env:")
# A user's variables for uv that are handed on: source and transport of packages, and not their choice.
KEPT = (
    *("UV_CACHE_DIR", "UV_CONCURRENT_", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_HTTP_"),
    *("UV_INDEX", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_LINK_MODE", "UV_NATIVE_TLS", "UV_NO_CACHE"),
    *("UV_NO_INDEX", "UV_OFFLINE", "UV_SYSTEM_CERTS"),
)
UNREACHABLE = ("connection broken", "(connect)", "dns error", "timed out", "error sending request")


class InstallationError(Exception):
    """An environment could not be made; one line with the reason."""


def pins(lock: Path) -> list[str]:
    """The requirements of a lock, one string each with its hashes; comments and options left out."""
    logical_lines = lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    lines = [" ".join(line.partition("#")[0].split()) for line in logical_lines]
    return [line for line in lines if line and not line.startswith("-")]


def options(lock: Path) -> list[str]:
    """The options of a lock, such as an extra index."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return [word for line in lines if line.startswith("-") for word in line.split()]


def usable(prefix: Path) -> bool:
    """True where the environment was made whole, in this place, and its Python still exists.

    A virtual environment holds absolute paths: to its interpreter, and in every script to itself.
    """
    marker = prefix / MARKER
    return (
        marker.exists()
        and marker.read_text(encoding="utf-8") == str(prefix.resolve())
        and (prefix / "bin" / "python").exists()
    )


def forget_unusable(prefix: Path) -> None:
    """Remove the marker of an environment that cannot be used any more, so that it is made again."""
    if not usable(prefix):
        (prefix / MARKER).unlink(missing_ok=True)


def install(lock: Path, prefix: Path, log: Path, on_top: Path | None = None) -> None:
    """Make a virtual environment at `prefix` with exactly the lock's packages, replacing a previous one.

    `on_top`: a user's requirements beside them, which change none of the lock's versions.

    Bytecode is compiled too: otherwise the first run of a framework would be timed while Python compiles its imports.
    InstallationError with the installer's own reason where it fails; its whole output is in `log`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w+", encoding="utf-8") as output:
        try:
            uv = bootstrap(prefix.parent, output)
            settings = pip_settings(uv.parent / "python", os.environ)
            environment = uv_environment(settings, os.environ)
            _run([uv, "venv", "--no-config", "--clear", "--python", sys.executable, prefix], output, environment)
            command: list[str | Path] = [
                uv,
                "pip",
                "install",
                "--no-config",
                "--python",
                prefix / "bin" / "python",
                *("--compile-bytecode", "--index-strategy", "unsafe-best-match"),
            ]
            text = "\n".join(pins(lock))
            # uv stops at an index that cannot be reached. From a closed network that may be the lock's own; a mirror or
            # folder then has to have the packages.
            choices = [[], options(lock)] if options(lock) and settings.keys() & set(PLACES) else [options(lock)]
            for number, choice in enumerate(choices, start=1):
                try:
                    _run([*command, "--no-deps", "--requirements", "-", *choice], output, environment, text)
                    break
                except subprocess.CalledProcessError:
                    if number == len(choices):
                        raise
            if on_top:
                versions = prefix / "lock.txt"  # it would require hashes of the user's requirements too
                versions.write_text("\n".join(pin.partition(" --hash")[0] for pin in pins(lock)), encoding="utf-8")
                _run([*command, "--requirements", on_top, "--constraints", versions, *choice], output, environment)
        except subprocess.CalledProcessError as error:
            output.seek(0)
            raise InstallationError(reason(output.read()) or str(error)) from error
    (prefix / MARKER).write_text(str(prefix.resolve()), encoding="utf-8")


def bootstrap(folder: Path, output: TextIO) -> Path:
    """Path of uv in an environment of its own in `folder`, which pip fills from UV_LOCK where it is missing."""
    digest = hashlib.sha256("\n".join(pins(UV_LOCK)).encode()).hexdigest()[:12]
    prefix = folder / f"uv-{digest}"
    with locked(prefix):
        if not usable(prefix):
            _run([sys.executable, "-I", "-m", "venv", "--clear", prefix], output, dict(os.environ))
            python = prefix / "bin" / "python"
            settings = pip_settings(python, os.environ)
            pip: list[str | Path] = [
                python,
                "-I",
                "-m",
                "pip",
                "install",
                "--no-deps",
                "--require-hashes",
                "--requirement",
                UV_LOCK,
            ]
            _run(pip, output, pip_environment(settings, os.environ))
            (prefix / MARKER).write_text(str(prefix.resolve()), encoding="utf-8")
    return prefix / "bin" / "uv"


@contextlib.contextmanager
def locked(prefix: Path) -> Iterator[None]:
    """Hold the lock for making the environment at `prefix`; wait for its holder."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with prefix.with_name(f"{prefix.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pip_settings(python: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The user's settings for indexes, proxy and certificates, from pip's configuration and PIP_ variables.

    `python`: an interpreter that has pip. Name of the setting, as in SETTINGS → value.
    """
    command: list[str | Path] = [python, "-I", "-m", "pip", "config", "list"]
    said = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if said.returncode:
        raise InstallationError(f"pip's configuration cannot be read: {said.stderr.strip().splitlines()[-1]}")
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in said.stdout.splitlines():
        place, _, value = line.partition("=")
        section, _, name = place.rpartition(".")
        # PIP_DEFAULT_TIMEOUT is another name of PIP_TIMEOUT.
        name = name.removeprefix("default-")
        if section in found and name in SETTINGS:
            found[section][name] = " ".join(ast.literal_eval(value).split())
    return {name: value for section in SECTIONS for name, value in found[section].items() if value}


def pip_environment(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Variables for pip with these settings and no others, whatever files and variables the user has."""
    kept = {name: value for name, value in environment.items() if not name.startswith("PIP_")}
    given = {f"PIP_{name.replace('-', '_').upper()}": value for name, value in settings.items()}
    return kept | given | {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def uv_environment(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Variables for uv with pip's settings, under those that the user gave to uv itself."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("UV_", "VIRTUAL_ENV", "CONDA_PREFIX")) or name.startswith(KEPT)
    }
    given = {variable: value for name, value in settings.items() for variable in SETTINGS[name]}
    if "UV_FIND_LINKS" in given:
        given["UV_FIND_LINKS"] = given["UV_FIND_LINKS"].replace(" ", ",")
    # pip's rule: the system's certificates, if present, include a site's own.
    if Path(ssl.get_default_verify_paths().cafile or os.devnull).is_file():
        given["UV_SYSTEM_CERTS"] = "1"
    return given | kept


def reason(log: str) -> str | None:
    """The reason of an installer's failure, from its output: its last error with its cause, in one line.

    For pip and uv alike; None where neither reported an error.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if line.lower().startswith(("error:", "×"))]
    if not starts:
        return lines[-1] if lines else None
    told: list[str] = []
    for line in lines[starts[-1] :]:
        if line.startswith("hint:"):
            break
        opening = re.match(r"error:|cause:|[×╰]", line, re.IGNORECASE)
        text = line.removeprefix(opening[0] if opening else "").strip("─▶│ ")
        if opening or not told:
            told.append(text)
        else:
            told[-1] += f" {text}"
    # Without a connection, pip retries with a warning and then calls the package missing.
    unreachable = any(word in log.lower() for word in UNREACHABLE)
    hint = "; a package index could not be reached: is there a network?" if unreachable else ""
    return ": ".join(text.removesuffix(":") for text in dict.fromkeys(told)) + hint


def _run(command: list[str | Path], output: TextIO, environment: dict[str, str], text: str = "") -> None:
    output.write(f"$ {' '.join(map(str, command))}\n")
    output.flush()
    subprocess.run(command, input=text, stdout=output, stderr=subprocess.STDOUT, text=True, env=environment, check=True)


def main(arguments: list[str] | None = None) -> None:
    """Make the environment, unless it is there and usable; ends with one line on stderr where that fails."""
    parser = argparse.ArgumentParser(prog="python -m framebench.plan.installation", description=__doc__)
    parser.add_argument("--lock", type=Path, required=True, metavar="FILE", help="pins with hashes: envs/NAME.txt")
    parser.add_argument("--prefix", type=Path, required=True, metavar="DIR", help="folder of the environment")
    parser.add_argument("--log", type=Path, required=True, metavar="FILE", help="takes the installer's output")
    parser.add_argument("--on-top", type=Path, metavar="FILE", help="a user's requirements, in addition")
    asked = parser.parse_args(arguments)
    with locked(asked.prefix):
        if usable(asked.prefix):
            return
        count = len(pins(asked.lock))
        print(f"setting up {asked.prefix}: {count} packages of {asked.lock}", file=sys.stderr, flush=True)
        try:
            install(asked.lock, asked.prefix, asked.log, asked.on_top)
        except (InstallationError, OSError) as error:
            sys.exit(f"{asked.on_top or asked.lock}: not installed: {error} (log: {asked.log})")


if __name__ == "__main__":
    main()
