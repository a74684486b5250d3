"""Environments made by the real pip and uv, of a package that is made here, without a network."""

import functools
import hashlib
import http.server
import os
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import PROJECT, make_workspace
from framebench.plan import installation

pytestmark = pytest.mark.test

WHEEL = "tiny-1.0-py3-none-any.whl"
INSIDE = {
    "tiny.py": "WORD = 'here'\ndef main(): print(WORD)\n",
    "tiny-1.0.dist-info/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
    "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
    "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "tiny-1.0.dist-info/RECORD": "tiny.py,,\n",
}


@pytest.fixture
def wheels(tmp_path) -> Path:
    """A folder of wheels, as a site without a network has one."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, content in INSIDE.items():
            wheel.writestr(name, content)
    return folder


@pytest.fixture
def venvs(tmp_path) -> Path:
    """A folder for environments, with the project's own uv in it."""
    folder = tmp_path / "venvs"
    folder.mkdir()
    for uv in (PROJECT / ".venvs").glob("uv-*"):
        (folder / uv.name).symlink_to(uv)
    return folder


def lock_of(wheels: Path, digest: str = "", before: str = "") -> Path:
    digest = digest or hashlib.sha256((wheels / WHEEL).read_bytes()).hexdigest()
    lock = wheels.parent / "tiny.txt"
    lock.write_text(f"{before}tiny==1.0 \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    return lock


def install(lock: Path, prefix: Path, wheels: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, for a user whose pip takes packages from the folder alone, and who has a constraint besides."""
    constraint, configuration = wheels.parent / "constraint.txt", wheels.parent / "pip.conf"
    constraint.write_text("tiny<1\n", encoding="utf-8")
    configuration.write_text(f"[global]\nconstraint = {constraint}\nfind-links = {wheels}\n", encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return subprocess.run(
        [
            *(sys.executable, "-P", "-m", "framebench.plan.installation"),
            *("--lock", lock, "--prefix", prefix, "--log", prefix.with_suffix(".log")),
        ],
        env=kept
        | {"PYTHONPATH": "workflow", "PIP_CONFIG_FILE": str(configuration), "PIP_NO_INDEX": "1"}
        | {"UV_CONSTRAINT": str(constraint), **variables},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )


def said_by(prefix: Path) -> str:
    command = [prefix / "bin" / "python", "-c", "import tiny; print(tiny.WORD)"]
    return subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout.strip()


def test_the_users_folder_of_wheels_is_used_and_not_the_users_constraint(wheels, venvs):
    prefix = venvs / "tiny with a space"
    made = install(lock_of(wheels), prefix, wheels, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert made.returncode == 0, made.stderr
    assert said_by(prefix) == "here"
    assert list(prefix.rglob("tiny*.pyc"))
    again = install(lock_of(wheels), prefix, wheels)
    assert (again.returncode, again.stderr) == (0, "")


def test_an_index_of_the_lock_that_cannot_be_reached_is_not_needed_where_the_user_has_the_package(wheels, venvs):
    lock = lock_of(wheels, before="--extra-index-url https://index.invalid/simple\n")
    made = install(lock, venvs / "tiny", wheels)
    assert made.returncode == 0, made.stderr


def test_a_moved_environment_is_made_anew(wheels, venvs):
    install(lock_of(wheels), venvs / "tiny", wheels)
    moved = venvs / "moved"
    (venvs / "tiny").rename(moved)
    (moved / "bin" / "python").unlink()
    made = install(lock_of(wheels), moved, wheels)
    assert made.returncode == 0, made.stderr
    assert said_by(moved) == "here"


def test_a_package_that_is_not_that_of_the_lock_is_refused_in_one_line(wheels, venvs):
    refused = install(lock_of(wheels, digest=64 * "0"), venvs / "tiny", wheels)
    assert refused.returncode == 1
    setting_up, reason = refused.stderr.splitlines()
    assert setting_up.startswith("setting up ")
    assert "not installed: " in reason and "ash mismatch" in reason
    assert not installation.usable(venvs / "tiny")


def test_a_package_that_is_nowhere_is_named(wheels, venvs):
    lock = lock_of(wheels)
    (wheels / WHEEL).unlink()
    refused = install(lock, venvs / "tiny", wheels)
    assert refused.returncode == 1
    assert "tiny" in refused.stderr.splitlines()[-1]
    assert f"(log: {venvs / 'tiny.log'})" in refused.stderr


def test_variables_for_installers_neither_choose_packages_nor_their_place(wheels, venvs, tmp_path):
    """PIP_TARGET and the like left an empty environment that counted as complete; pypa/pipx#1770, tox-dev/tox#3010."""
    elsewhere = str(tmp_path / "elsewhere")
    places = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "UV_TARGET", "UV_PREFIX", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV")
    switches = ("PIP_USER", "PIP_DRY_RUN", "PIP_REQUIRE_VIRTUALENV", "PIP_ISOLATED", "UV_SYSTEM_PYTHON", "UV_DRY_RUN")
    given = dict.fromkeys(places, elsewhere) | dict.fromkeys(switches, "1")
    given |= {"PIP_QUIET": "3", "PIP_LOG": "/proc/none", "PIP_FIND_LINKS": str(wheels), "UV_PYTHON": "3.7"}
    made = install(lock_of(wheels), venvs / "tiny", wheels, **given, PYTHONUSERBASE=elsewhere, CONDA_PREFIX=elsewhere)
    assert made.returncode == 0, made.stderr
    assert said_by(venvs / "tiny") == "here"
    assert not Path(elsewhere).exists()


def test_an_installer_that_says_it_installed_is_not_believed(wheels, venvs):
    """Exit code 0 with nothing installed was stamped as complete, for good; pypa/pipx#1770, pypa/virtualenv#802."""
    (linked,) = venvs.glob("uv-*/")
    true = linked.resolve()
    linked.unlink()
    shutil.copytree(true, linked, symlinks=True, ignore=shutil.ignore_patterns("uv", "uvx"))
    (linked / "bin" / "uv").write_text(f"#!/bin/sh\n[ $1 = pip ] || exec '{true}/bin/uv' \"$@\"\n", encoding="utf-8")
    (linked / "bin" / "uv").chmod(0o755)
    (linked / installation.MARKER).write_bytes(installation.marker(linked))
    refused = install(lock_of(wheels), venvs / "tiny", wheels)
    assert refused.returncode == 1
    assert "not installed: tiny==1.0 is asked for, and nothing of it is there" in refused.stderr.splitlines()[-1]
    assert not installation.usable(venvs / "tiny")


@pytest.mark.parametrize("folder", ["a'b $x (1) ünï %20 {y}", "l" * 150], ids=["characters", "long"])
def test_programs_of_an_environment_start_in_a_folder_of_any_name(wheels, venvs, folder):
    """A first line of a script holds 127 characters and no space; snakemake/snakemake#1546, sio/Makefile.venv#5."""
    prefix = venvs / folder / "tiny"
    prefix.parent.mkdir()
    for uv in venvs.glob("uv-*"):
        (prefix.parent / uv.name).symlink_to(uv)
    made = install(lock_of(wheels), prefix, wheels)
    assert made.returncode == 0, made.stderr
    assert (
        subprocess.run([prefix / "bin" / "tiny"], capture_output=True, text=True, check=True, encoding="utf-8").stdout
        == "here\n"
    )


def test_programs_of_an_environment_that_was_made_through_a_link_start_without_the_link(wheels, venvs, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(venvs)
    made = install(lock_of(wheels), link / "tiny", wheels)
    assert made.returncode == 0, made.stderr
    link.unlink()
    said = subprocess.run([venvs / "tiny/bin/tiny"], capture_output=True, text=True, check=True, encoding="utf-8")
    assert said.stdout == "here\n"


@pytest.fixture
def index(wheels) -> Iterator[tuple[str, str]]:
    """Address of an index with a self-signed certificate, and the file of that certificate."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate")
    (wheels / "simple" / "tiny").mkdir(parents=True)
    shutil.copy(wheels / WHEEL, wheels / "simple" / "tiny")
    key, certificate = wheels.parent / "key.pem", wheels.parent / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], capture_output=True, check=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(wheels))
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_port}/simple", str(certificate)
        server.shutdown()


def test_an_index_with_a_certificate_of_its_own_is_named_and_used_once_the_certificate_is(index, wheels, venvs):
    """pypa/pipx#961, pypa/pip#9568: it was called a missing package, and the network was suspected."""
    address, certificate = index
    lock = lock_of(wheels)
    (wheels / WHEEL).unlink()
    given = {"PIP_NO_INDEX": "", "PIP_INDEX_URL": address}
    unknown = dict.fromkeys(("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"), "")
    refused = install(lock, venvs / "refused", wheels, **unknown | given)
    assert "certificate of a package index or proxy is not trusted here" in refused.stderr.splitlines()[-1]
    assert "network" not in refused.stderr
    for variable in ("PIP_CERT", "REQUESTS_CA_BUNDLE"):
        made = install(lock, venvs / variable, wheels, **unknown | given | {variable: certificate})
        assert made.returncode == 0, made.stderr


def test_uv_itself_is_installed_for_a_user_of_another_target_and_checked(wheels, tmp_path, monkeypatch):
    """The first step, by pip; without a home, as in a container of a user without a name; pytorch/pytorch#140765."""
    content = INSIDE | {"tiny-1.0.data/scripts/uv": "#!python\nprint('uv 1.0')\n"}
    with zipfile.ZipFile(wheels / WHEEL, "w") as wheel:
        for name, text in content.items():
            told = zipfile.ZipInfo(name)
            told.external_attr = 0o100755 << 16
            wheel.writestr(told, text)
    for name in list(os.environ):
        if name.startswith(("PIP_", "HOME", "USER", "LOGNAME", "XDG_")):
            monkeypatch.delenv(name)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nuser = true\nno-index = true\nfind-links = {wheels}\n", encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(installation, "UV_LOCK", lock_of(wheels))
    with (tmp_path / "log").open("w+", encoding="utf-8") as log:
        uv = installation.bootstrap(tmp_path / "venvs", log)
    assert subprocess.run([uv], capture_output=True, text=True, check=True, encoding="utf-8").stdout == "uv 1.0\n"
    assert installation.usable(uv.parents[1])
    assert not (tmp_path / "elsewhere").exists()


def test_rules_use_the_workflows_own_python_in_a_folder_of_any_name(tmp_path, monkeypatch):
    """`export: … not a valid identifier` in every rule; snakemake/snakemake#1546, #2981, #3235, #2286."""
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "my project's $x (1) ü"
    folder.mkdir()
    workspace = make_workspace(folder)
    python = folder / ".venvs" / Path(sys.prefix).name / "bin" / "python"
    made = workspace.run(str(python), "-m", "snakemake", "results/data/images.npz")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "not a valid identifier" not in made.stderr


def test_rules_go_on_where_stderr_is_closed(tmp_path):
    """`2>&-`, as in a crontab: what was measured was never drawn."""
    workspace = make_workspace(tmp_path)
    command = [sys.executable, "-m", "snakemake", "results/data/images.npz"]
    made = workspace.run("bash", "-c", 'exec "$@" 2>&-', "bash", *command)
    assert made.returncode == 0, made.stdout
    assert (workspace.folder / "results/data/images.npz").exists()
