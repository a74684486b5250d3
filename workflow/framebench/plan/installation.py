"""Virtual environments made from hashed locks by uv, with the index settings that the user gave to pip.

It needs the standard library alone, since it makes the environments for everything else. uv itself is installed by pip,
from a lock too. Both get an environment and a configuration that are made here, in which the user's index, proxy,
certificates and caches are all that is left of the user's own: anything else, such as a constraint or a target folder,
would change what is installed, or where. The result is checked before it is believed.
"""

import argparse
import ast
import contextlib
import fcntl
import hashlib
import json
import math
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

WHEELS = Path("wheels")  # folder of a bundle, from which everything is installed
UV_LOCK = Path("envs/uv.txt")
MARKER = ".complete"
# pip's name of a setting → uv's variables for the same. Lists are separated by spaces in both but for find-links.
SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX",),
    "extra-index-url": ("UV_INDEX",),
    "find-links": ("UV_FIND_LINKS",),
    "no-index": (),  # uv has an option only
    "trusted-host": ("UV_INSECURE_HOST",),
    "proxy": ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"),
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "timeout": ("UV_HTTP_TIMEOUT",),
}
LOCAL = {"find-links", "cert", "client-cert"}  # settings that are paths, or may be
# Settings on the source of packages; with one of them, a lock's own extra index is the second choice.
PLACES = ("index-url", "extra-index-url", "find-links", "no-index")
TRUE = ("1", "on", "t", "true", "y", "yes")  # pip's words for it
# pip's sections from the weakest to the strongest.
SECTIONS = ("global", "install", ":env:")
# A user's variables that every command here gets: programs and their libraries, the person and the caches, the way to
# an index with its certificates and passwords. Locale and temporary folder are set, and everything else is left out.
PASSED = (
    *("PATH", "LD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"),
    *("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT"),
    *("NETRC", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "KRB5CCNAME"),
)
# A user's variables for uv that are handed on: source and transport of packages, and not their choice.
KEPT = (
    *("UV_CACHE_DIR", "UV_CONCURRENT_", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_HTTP_"),
    *("UV_INDEX", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_NATIVE_TLS", "UV_NO_CACHE"),
    *("UV_OFFLINE", "UV_SYSTEM_CERTS"),
)
# The module that shows that an environment works, by the name of its lock; for any other lock, the module of its name.
SHOWS = {"pytorch": "torch", "workflow": "snakemake", "test": "snakemake"}
# Words in an installer's output that tell why an index was not to be had, in small letters, and the remedy.
HINTS = {
    ("certificate verify failed", "peer certificate", "confirming the ssl certificate"): (
        "the certificate of a package index or proxy is not trusted here: name the file with your site's own, "
        "PIP_CERT=FILE, or its host, PIP_TRUSTED_HOST=HOST"
    ),
    ("dependencies for socks",): (
        "pip cannot use a SOCKS proxy: leave ALL_PROXY, HTTPS_PROXY and HTTP_PROXY out, or name another, PIP_PROXY=URL"
    ),
    ("suitable tls ca certificate bundle",): (
        "the path is from PIP_CERT, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or pip's configuration"
    ),
    ("proxyerror", "proxy scheme", "proxy url", "connect to proxy", "407 proxy", "tunnel error"): (
        "a proxy refused or its address is wrong: look at HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and pip's proxy"
    ),
    ("401 unauthorized", "401 client", "error 401", "403 forbidden", "403 client", "error 403"): (
        "a package index refused: does it want a password?"
    ),
    ("connection error", "connection broken", "(connect)", "dns error", "timed out", "error sending request"): (
        "a package index could not be reached: is there a network?"
    ),
}
# Openings of lines that follow a failure and do not explain it, in small letters.
ASIDES = re.compile(
    r"hint:|note:|info:|warning:|notice:|\[notice\]|traceback|failing command:|current thread|extension modules:|"
    r"removed build tracker|\$ "
)

# Executed at the start of the Python whose folder of packages has it, as it begins with `import`.
OWN_FIRST = (
    "import os, sys; foreign = set(map(os.path.abspath, os.environ.get('PYTHONPATH', '').split(os.pathsep)));"
    " sys.path.sort(key=foreign.__contains__)\n"
)


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


def marker(prefix: Path) -> bytes:
    """The content of the marker of an environment at `prefix`: its place, and what is put there beside its packages.

    An environment of an earlier version of the project, which put something else there, is made anew.
    """
    return b"\n".join([os.fsencode(prefix.resolve()), OWN_FIRST.encode()])


def usable(prefix: Path) -> bool:
    """True where the environment was made whole, in this place, as now, for the version of Python that is there now.

    A virtual environment holds absolute paths: to its interpreter, and in every script to itself. Its packages are in a
    folder named for the version of a Python that may be replaced by the next one at the same path.
    """
    try:
        if (prefix / MARKER).read_bytes() != marker(prefix):
            return False
        command: list[str | Path] = [
            prefix / "bin" / "python",
            "-I",
            "-S",
            "-c",
            "import sys; print('python%d.%d' % sys.version_info[:2])",
        ]
        said = subprocess.run(
            command, capture_output=True, text=True, check=True, encoding="utf-8", errors="replace"
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return False
    return (prefix / "lib" / said).is_dir()


def forget_unusable(prefix: Path) -> None:
    """Remove the marker of an environment that cannot be used any more, so that it is made again.

    InstallationError where it cannot be removed, as in a checkout that is read-only.
    """
    if usable(prefix):
        return
    try:
        (prefix / MARKER).unlink(missing_ok=True)
    except OSError as error:
        raise InstallationError(
            f"{prefix}: was moved, lost its Python or is of an earlier version, and cannot be made again: {error}"
        ) from error


def provide(lock: Path, prefix: Path, log: Path, on_top: Path | None = None) -> None:
    """Make the environment at `prefix`, unless it is there and usable; one process at a time, with a line on stderr.

    Arguments and errors as in `install`.
    """
    if usable(prefix):  # a complete one can be used where nothing can be written, not even a lock
        return
    try:
        with locked(prefix):
            if not usable(prefix):
                besides = f" and {on_top}" if on_top else ""
                print(
                    f"setting up {prefix}: {len(pins(lock))} packages of {lock}{besides}", file=sys.stderr, flush=True
                )
                install(lock, prefix, log, on_top)
    except OSError as error:
        raise InstallationError(str(error)) from error


def install(lock: Path, prefix: Path, log: Path, on_top: Path | None = None) -> None:
    """Make a virtual environment at `prefix` with exactly the lock's packages, replacing a previous one, and check it.

    `on_top`: a user's requirements beside them, which change none of the lock's versions.

    Bytecode is compiled too: otherwise the first run of a framework would be timed while Python compiles its imports.
    InstallationError with the installer's own reason where it fails; its whole output is in `log`.
    """
    # Every script there begins with this path, and a link on the way may be gone tomorrow.
    prefix = prefix.parent.resolve() / prefix.name
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w+", encoding="utf-8", errors="backslashreplace") as output:
        try:
            uv = bootstrap(prefix.parent, output)
            settings = pip_settings(uv.parent / "python", os.environ)
            environment = uv_environment(settings, os.environ, prefix.parent)
            _run([uv, "venv", "--no-config", "--clear", "--python", sys.executable, prefix], output, environment)
            put_own_first(prefix)
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
            if offline := settings.get("no-index", "").lower() in TRUE:
                command.append("--no-index")
            # uv stops at an index that cannot be reached. From a closed network that may be the lock's own; a mirror or
            # folder then has to have the packages.
            index = [] if offline else options(lock)
            choices = [[], index] if index and settings.keys() & set(PLACES) else [index]
            for number, choice in enumerate(choices, start=1):
                try:
                    _run([*command, "--no-deps", "--requirements", "-", *choice], output, environment, text)
                    break
                except subprocess.CalledProcessError:
                    if number == len(choices):
                        raise
            if on_top:
                versions = prefix / "lock.txt"  # it would require hashes of the user's requirements too
                versions.write_text("\n".join(versions_of(lock)), encoding="utf-8")
                _run([*command, "--requirements", on_top, "--constraints", versions, *choice], output, environment)
            _check(lock, prefix, uv.parent.parent, output, environment)
        except subprocess.CalledProcessError as error:
            output.seek(0)
            raise InstallationError(reason(output.read(), error.returncode)) from error
    (prefix / MARKER).write_bytes(marker(prefix))


def put_own_first(prefix: Path) -> None:
    """Have the Python at `prefix` import its own modules, and those of PYTHONPATH only where it has none of a name.

    https://github.com/ros2/ros2/issues/112: others' packages in PYTHONPATH hide those of every environment.
    """
    (packages,) = prefix.glob("lib/python*/site-packages")
    (packages / "own_first.pth").write_text(OWN_FIRST, encoding="utf-8")


def bootstrap(folder: Path, output: TextIO) -> Path:
    """Path of uv in an environment of its own in `folder`, which pip fills from UV_LOCK where it is missing."""
    digest = hashlib.sha256("\n".join(pins(UV_LOCK)).encode()).hexdigest()[:12]
    prefix = folder / f"uv-{digest}"
    uv, python = prefix / "bin" / "uv", prefix / "bin" / "python"
    if usable(prefix):
        return uv
    with locked(prefix):
        if not usable(prefix):
            made = made_environment(os.environ, folder)
            _run([sys.executable, "-I", "-m", "venv", "--clear", prefix], output, made)
            pip: list[str | Path] = [python, "-I", "-m", "pip", "install", "--no-deps", "--require-hashes"]
            settings = pip_settings(python, os.environ)
            _run([*pip, "--requirement", UV_LOCK], output, pip_environment(settings, os.environ, folder))
            _check(UV_LOCK, prefix, prefix, output, made)
            _run([uv, "--version"], output, made)
            (prefix / MARKER).write_bytes(marker(prefix))
    return uv


def versions_of(lock: Path) -> list[str]:
    """The pins of a lock without their hashes."""
    return [pin.partition(" --hash")[0] for pin in pins(lock)]


def _check(lock: Path, prefix: Path, pip: Path, output: TextIO, environment: dict[str, str]) -> None:
    """Run `installed.py` in the environment at `prefix`; the one at `pip` has a pip, whose parser of pins it takes."""
    name = lock.stem.removesuffix("-cpu").removesuffix("-cuda")
    (packages,) = map(str, pip.glob("lib/python*/site-packages"))
    script = Path(__file__).with_name("installed.py")
    told = json.dumps([versions_of(lock), SHOWS.get(name, name), packages])
    _run([prefix / "bin" / "python", "-I", script], output, environment, told)


@contextlib.contextmanager
def locked(prefix: Path) -> Iterator[None]:
    """Hold the lock for making the environment at `prefix`; wait for its holder.

    An installer that outlives this process holds it too.
    """
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with prefix.with_name(f"{prefix.name}.lock").open("w", encoding="utf-8") as lock:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)
        yield


def made_environment(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Variables for an installer: PASSED of the user's, and caches in `folder` where the user's cannot be written."""
    made = {name: environment[name] for name in PASSED if environment.get(name)}
    caches = Path(made.get("XDG_CACHE_HOME") or Path(made.get("HOME", ""), ".cache"))
    if not caches.is_absolute() or not all(_writable(caches / name) for name in ("pip", "uv")):
        made["XDG_CACHE_HOME"] = str(folder.resolve() / "cache")
    return made | {"LC_ALL": "C.UTF-8", "TMPDIR": tempfile.gettempdir()}


def _writable(folder: Path) -> bool:
    """True for a folder that takes files, and is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def pip_settings(python: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The user's settings for indexes, proxy and certificates, from pip's configuration and PIP_ variables.

    `python`: an interpreter that has pip. Name of the setting, as in SETTINGS → value. For certificates PIP_CERT comes
    first, then the variables of requests and curl, pip's files, and OpenSSL's variable or the system's certificates.
    A bundle installs from its own folder of wheels.
    """
    # Options of `pip config` itself, which a user's settings would turn on: `user = true` hides every other file.
    options = {"PIP_USER": "0", "PIP_GLOBAL": "0", "PIP_SITE": "0", "PIP_QUIET": "0", "PIP_VERBOSE": "0"}
    options |= {"PIP_LOG": os.devnull, "PIP_PYTHON": str(python)}
    command: list[str | Path] = [python, "-I", "-m", "pip", "config", "list"]
    said = subprocess.run(
        command,
        env=dict(environment) | options,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        errors="replace",
    )
    if said.returncode:
        told = " ".join(said.stderr.split()) or f"it ended with exit code {said.returncode}"
        raise InstallationError(f"pip's configuration cannot be read: {told.removeprefix('ERROR: ')}")
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in said.stdout.splitlines():
        place, _, value = line.partition("=")
        section, _, name = place.rpartition(".")
        # PIP_DEFAULT_TIMEOUT is another name of PIP_TIMEOUT.
        name = name.removeprefix("default-")
        if section in found and name in SETTINGS:
            found[section][name] = " ".join(ast.literal_eval(value).split())
    openssl = ssl.get_default_verify_paths()
    hashed = openssl.capath if openssl.capath and any(Path(openssl.capath).glob("*.0")) else None
    bundle = environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE") or ""
    *files, variables = (found[section] for section in SECTIONS)
    known = [{"cert": openssl.cafile or hashed or ""}, *files, {"cert": bundle}, variables]
    if WHEELS.is_dir():
        known.append({"find-links": str(WHEELS), "no-index": "1"})
    given = {name: value for settings in known for name, value in settings.items() if value}
    # pip takes ~ for the home in its files too, where no shell has replaced it.
    return given | {name: " ".join(map(os.path.expanduser, given[name].split())) for name in LOCAL & given.keys()}


def pip_environment(settings: Mapping[str, str], environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Variables for pip with these settings and no others, whatever files and variables the user has.

    `folder`: takes the cache where the user's own cannot be written.
    """
    given = {f"PIP_{name.replace('-', '_').upper()}": value for name, value in settings.items()}
    fixed = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    return made_environment(environment, folder) | given | fixed | {"PIP_VERBOSE": "2"}  # or it hides failed requests


def uv_environment(settings: Mapping[str, str], environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Variables for uv with pip's settings, under those that the user gave to uv itself; `folder` as for pip."""
    given = {variable: value for name, value in settings.items() for variable in SETTINGS[name]}
    # uv takes whole seconds alone, and fails without a folder that pip passes over.
    if "UV_HTTP_TIMEOUT" in given:
        try:
            given["UV_HTTP_TIMEOUT"] = str(math.ceil(float(given["UV_HTTP_TIMEOUT"])))
        except (ValueError, OverflowError) as error:
            raise InstallationError(f"pip's timeout is no number of seconds: {given['UV_HTTP_TIMEOUT']!r}") from error
    links = given.pop("UV_FIND_LINKS", "").split()
    if there := [link for link in links if "://" in link or Path(link).exists()]:
        given["UV_FIND_LINKS"] = ",".join(there)
    if Path(given.get("SSL_CERT_FILE", os.devnull)).is_dir():
        given["SSL_CERT_DIR"] = given.pop("SSL_CERT_FILE")
    own = {name: value for name, value in environment.items() if name.startswith(KEPT)}
    return made_environment(environment, folder) | given | own


def reason(log: str, returncode: int = 1) -> str:
    """The reason of an installer's failure, in one line: the last words of its output that explain it.

    `log`: output of commands, each after a line `$ command`; the last of them failed with `returncode`.
    """
    if returncode < 0:
        return f"it was ended by a signal: {signal.strsignal(-returncode)}"
    output = f"\n{log}".rpartition("\n$ ")[2].partition("\n")[2] if "\n$ " in f"\n{log}" else log
    # A line and the indented lines after it belong together; a cross of uv's opens such a group too.
    groups: list[list[str]] = []
    for line in filter(str.strip, output.splitlines()):
        if not groups or not line[0].isspace() or line.strip().startswith("×"):
            groups.append([])
        groups[-1].append(line.strip())
    explaining = [group for group in groups if not ASIDES.match(group[0].lower())] or groups
    if not explaining:
        return f"it ended with exit code {returncode} and without a word"
    told: list[str] = []
    for line in explaining[-1]:
        if told and ASIDES.match(line.lower()):
            break
        opening = re.match(r"error:|pip\._internal\S+:|caused by:|cause:|[×╰]", line, re.IGNORECASE)
        text = line.removeprefix(opening[0] if opening else "").strip("─▶│ ")
        if opening or not told:
            told.append(text)
        else:
            told[-1] += f" {text}"
    # Where nothing can be fetched, pip says so in passing and then calls the package missing.
    fetching = [line for line in output.splitlines() if line.startswith(("Could not fetch URL", "WARNING: "))]
    if told[0].startswith("No matching distribution") and fetching:
        told.append(fetching[-1].removeprefix("WARNING: ").removesuffix(" - skipping"))
    hint = next((f"; {hint}" for words, hint in HINTS.items() if any(word in output.lower() for word in words)), "")
    return ": ".join(text.removesuffix(":") for text in dict.fromkeys(told)) + hint


def _run(command: list[str | Path], output: TextIO, environment: dict[str, str], text: str = "") -> None:
    output.write(f"$ {' '.join(map(str, command))}\n")
    output.flush()
    subprocess.run(
        command,
        input=text,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        check=True,
        close_fds=False,
        encoding="utf-8",
        errors="replace",  # the lock is held by the installer too
    )


def main(arguments: list[str] | None = None) -> None:
    """Make the environment, unless it is there and usable; ends with one line on stderr where that fails."""
    parser = argparse.ArgumentParser(prog="python -m framebench.plan.installation", description=__doc__)
    parser.add_argument("--lock", type=Path, required=True, metavar="FILE", help="pins with hashes: envs/NAME.txt")
    parser.add_argument("--prefix", type=Path, required=True, metavar="DIR", help="folder of the environment")
    parser.add_argument("--log", type=Path, required=True, metavar="FILE", help="takes the installer's output")
    parser.add_argument("--on-top", type=Path, metavar="FILE", help="a user's requirements, in addition")
    asked = parser.parse_args(arguments)
    try:
        provide(asked.lock, asked.prefix, asked.log, asked.on_top)
    except InstallationError as error:
        sys.exit(f"{asked.on_top or asked.lock}: not installed: {error} (log: {asked.log})")


if __name__ == "__main__":
    main()
