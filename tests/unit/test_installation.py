"""Environments from locks: the pins of every lock, the user's index settings, and the reasons of failures."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from framebench.plan import installation, installed

pytestmark = pytest.mark.check

ENVS = Path("envs")
LOCK = """--extra-index-url https://index.example/cpu
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
# a comment
torch==2.13.0+cpu  # another
"""
# Output of `pip config list`: a user's file, a site's, and variables.
CONFIGURED = r"""global.index-url='https://mirror.example/simple'
global.constraint='/etc/constraints.txt'
global.extra-index-url='https://one.example\nhttps://two.example'
global.timeout='60'
install.index-url='https://install.example/simple'
install.no-deps='true'
wheel.index-url='https://wheel.example'
:env:.default-timeout='180'
:env:.cert='/etc/site.pem'
:env:.find-links='/opt/wheels /opt/more wheels'
"""


def test_a_pin_is_one_string_with_its_marker_and_hashes(tmp_path):
    lock = tmp_path / "pytorch-cpu.txt"
    lock.write_text(LOCK, encoding="utf-8")
    assert installation.pins(lock) == [
        "numpy==2.4.6 ; python_full_version < '3.12' --hash=sha256:aa --hash=sha256:bb",
        "torch==2.13.0+cpu",
    ]
    assert installation.options(lock) == ["--extra-index-url", "https://index.example/cpu"]


@pytest.mark.parametrize("lock", sorted(ENVS.glob("*.txt")), ids=lambda path: path.name)
def test_every_pin_is_exact_and_hashed_but_for_the_cpu_build_of_torch(lock):
    for pin in installation.pins(lock):
        assert "==" in pin
        # Its index serves files for other Pythons that are not known when the lock is made.
        assert "--hash=" in pin or pin == "torch==2.13.0+cpu"


@pytest.mark.parametrize("lock", sorted(ENVS.glob("*-cpu.txt")), ids=lambda path: path.name)
def test_a_machine_without_a_gpu_gets_no_cuda_packages(lock):
    names = [pin.partition("==")[0] for pin in installation.pins(lock)]
    assert [name for name in names if "cuda" in name or "cu1" in name or name.startswith("triton")] == []
    assert [name for name in names if name.startswith("nvidia-")] == ["nvidia-ml-py"]


@pytest.fixture
def pip(tmp_path):
    """An interpreter whose pip reports this configuration."""
    (tmp_path / "said").write_text(CONFIGURED, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncat '{tmp_path}/said'\n", encoding="utf-8")
    python.chmod(0o755)
    return python


def test_pips_settings_for_index_proxy_and_certificates_are_used_the_strongest_first(pip):
    assert installation.pip_settings(pip, {}) == {
        "index-url": "https://install.example/simple",
        "extra-index-url": "https://one.example https://two.example",
        "timeout": "180",
        "cert": "/etc/site.pem",
        "find-links": "/opt/wheels /opt/more wheels",
    }


def test_a_configuration_that_pip_cannot_read_is_told_in_its_words(tmp_path):
    """A mark of UTF-8 at its start, as editors of Windows set it, was all that the line named."""
    configuration = tmp_path / "pip.conf"
    configuration.write_text("\ufeff[global]\nno-index = true\n", encoding="utf-8")
    python = next(Path(".venvs").glob("uv-*")) / "bin" / "python"  # has a pip
    with pytest.raises(installation.InstallationError) as refused:
        installation.pip_settings(python, {"PIP_CONFIG_FILE": str(configuration)})
    assert str(refused.value).startswith("pip's configuration cannot be read: Configuration file could not be loaded.")
    assert str(configuration) in str(refused.value) and "\n" not in str(refused.value)


def test_options_of_pip_itself_hide_none_of_the_users_files(tmp_path):
    """`user = true` made `pip config list` leave out every other file; pypa/pipx#1770, pypa/virtualenv#802."""
    said = tmp_path / "said"
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nprintenv > '{said}'\n", encoding="utf-8")
    python.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"],
        "PIP_USER": "1",
        "PIP_QUIET": "3",
        "PIP_LOG": "/no/such",
        "PIP_PYTHON": "/x",
    }
    installation.pip_settings(python, environment | {"PIP_INDEX_URL": "https://mirror.example"})
    told = dict(line.split("=", 1) for line in said.read_text(encoding="utf-8").splitlines())
    assert (told["PIP_USER"], told["PIP_QUIET"], told["PIP_LOG"]) == ("0", "0", "/dev/null")
    assert (told["PIP_PYTHON"], told["PIP_INDEX_URL"]) == (str(python), "https://mirror.example")


def test_certificates_for_requests_and_for_openssl_count_where_pip_has_none(tmp_path):
    """One variable served pip, another uv, and each failed with the other's; sethmlarson/truststore#123."""
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\n", encoding="utf-8")
    silent.chmod(0o755)
    both = {"CURL_CA_BUNDLE": "/curl.pem", "REQUESTS_CA_BUNDLE": "/requests.pem"}
    assert installation.pip_settings(silent, both) == {"cert": "/requests.pem"}
    assert installation.pip_settings(silent, {"CURL_CA_BUNDLE": "/curl.pem"}) == {"cert": "/curl.pem"}
    openssl = tmp_path / "openssl.pem"
    openssl.touch()
    code = "import pathlib, sys; from framebench.plan import installation as i; print(i.pip_settings(sys.argv[1], {}))"
    told = subprocess.run(
        [sys.executable, "-c", code, silent],
        env={"SSL_CERT_FILE": str(openssl), "PYTHONPATH": "workflow"},
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    ).stdout
    assert told.strip() == str({"cert": str(openssl)})


@pytest.fixture
def home(tmp_path) -> dict[str, str]:
    """Variables of a user with a home."""
    return {"PATH": "/bin", "HOME": str(tmp_path / "home")}


# None of these may choose packages or their place; pypa/pipx#1770, airspeed-velocity/asv#522, tox-dev/tox#3010,
# pypa/pipenv#1798, getsentry/snuba#7384.
FOREIGN = (
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN", "PIP_NO_DEPS", "PIP_REQUIRE_VIRTUALENV"),
    *(
        "PIP_CONSTRAINT",
        "PIP_CONFIG_FILE",
        "PIP_OF_NEXT_YEAR",
        "UV_PROJECT_ENVIRONMENT",
        "UV_SYSTEM_PYTHON",
        "UV_PYTHON",
    ),
    *(
        "UV_COMPILE_BYTECODE",
        "UV_TARGET",
        "UV_PREFIX",
        "UV_CONFIG_FILE",
        "UV_CONSTRAINT",
        "UV_EXCLUDE_NEWER",
        "UV_LINK_MODE",
    ),
    *(
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "CONDA_DEFAULT_ENV",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONUSERBASE",
        "PYTHONSTARTUP",
    ),
    *("PYTHONPLATLIBDIR", "PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE", "LD_PRELOAD", "CFLAGS", "MAKEFLAGS", "LANG"),
)


def test_pip_gets_these_settings_and_nothing_else_of_the_users(tmp_path, home):
    environment = home | dict.fromkeys(FOREIGN, "theirs") | {"HTTPS_PROXY": "proxy", "no_proxy": "localhost"}
    given = installation.pip_environment({"index-url": "https://mirror.example"}, environment, tmp_path)
    assert Path(given.pop("TMPDIR")).is_dir()
    assert given == home | {
        "LC_ALL": "C.UTF-8",
        "HTTPS_PROXY": "proxy",
        "no_proxy": "localhost",
        "PIP_INDEX_URL": "https://mirror.example",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_VERBOSE": "2",
    }


def test_uv_gets_pips_settings_under_those_that_the_user_gave_to_uv_itself(tmp_path, home):
    links = f"{tmp_path} https://mirror.example/wheels"
    settings = {"index-url": "https://mirror.example", "find-links": links, "cert": "/site.pem"}
    settings |= {"proxy": "proxy:3128"}
    environment = home | dict.fromkeys(FOREIGN, "theirs")
    environment |= {"UV_DEFAULT_INDEX": "https://own.example", "UV_INDEX_LAB_PASSWORD": "secret"}
    given = installation.uv_environment(settings, environment | {"UV_CACHE_DIR": "/scratch"}, tmp_path)
    assert Path(given.pop("TMPDIR")).is_dir()
    assert given == home | {
        "LC_ALL": "C.UTF-8",
        "UV_DEFAULT_INDEX": "https://own.example",
        "UV_FIND_LINKS": f"{tmp_path},https://mirror.example/wheels",
        "SSL_CERT_FILE": "/site.pem",
        "ALL_PROXY": "proxy:3128",
        "HTTP_PROXY": "proxy:3128",
        "HTTPS_PROXY": "proxy:3128",
        "UV_INDEX_LAB_PASSWORD": "secret",
        "UV_CACHE_DIR": "/scratch",
    }


def test_uv_gets_whole_seconds_and_no_folder_that_is_not_there(tmp_path, home):
    """pip takes half seconds, and passes over a folder that is not there; uv ended on both."""
    settings = {"timeout": "15.5", "find-links": f"/no/such {tmp_path}"}
    given = installation.uv_environment(settings, home, tmp_path)
    assert (given["UV_HTTP_TIMEOUT"], given["UV_FIND_LINKS"]) == ("16", str(tmp_path))
    assert "UV_FIND_LINKS" not in installation.uv_environment({"find-links": "/no/such"}, home, tmp_path)
    with pytest.raises(installation.InstallationError, match=r"^pip's timeout is no number of seconds: '1m'$"):
        installation.uv_environment({"timeout": "1m"}, home, tmp_path)


def test_the_home_in_a_path_of_pips_configuration_is_the_users(tmp_path, monkeypatch):
    """pip replaces ~ by itself; uv looked for a folder of that name."""
    monkeypatch.setenv("HOME", "/home/ada")
    (tmp_path / "pip").write_text("#!/bin/sh\necho \"global.find-links='~/wheels ~/more'\"\n", encoding="utf-8")
    (tmp_path / "pip").chmod(0o755)
    assert installation.pip_settings(tmp_path / "pip", {})["find-links"] == "/home/ada/wheels /home/ada/more"


def test_a_folder_of_certificates_is_given_to_uv_as_one(tmp_path, home):
    given = installation.uv_environment({"cert": str(tmp_path)}, home, tmp_path)
    assert given["SSL_CERT_DIR"] == str(tmp_path) and "SSL_CERT_FILE" not in given


@pytest.mark.parametrize("homes", [{}, {"HOME": "/proc/none"}, {"HOME": "relative"}, {"XDG_CACHE_HOME": "/proc/none"}])
def test_without_a_home_that_can_be_written_the_caches_are_beside_the_environments(tmp_path, homes):
    """Users without a name or home, as in containers; cov-lineages/pangolin#533, pytorch/pytorch#140765."""
    made = installation.made_environment({"PATH": "/bin"} | homes, tmp_path)
    assert made["XDG_CACHE_HOME"] == str(tmp_path / "cache")


def test_a_cache_of_another_user_is_left_alone(tmp_path, home):
    (tmp_path / "home" / ".cache").mkdir(parents=True)
    (tmp_path / "home" / ".cache" / "uv").touch()  # nothing can be written below it
    made = installation.made_environment(home, tmp_path)
    assert made["XDG_CACHE_HOME"] == str(tmp_path / "cache")


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", "it ended with exit code 1 and without a word"),
        ("$ uv venv\nKilled\n", "Killed"),
        ("ERROR: first\nERROR: No space left on device\n", "No space left on device"),
        (
            "WARNING: Retrying after connection broken by NewConnectionError\nERROR: No matching distribution found\n",
            "No matching distribution found: Retrying after connection broken by NewConnectionError; "
            "a package index could not be reached: is there a network?",
        ),
        (
            "error: Request failed after 3 retries in 5.8s\n  cause: Failed to fetch: `https://index.example/namex/`\n"
            "  cause: dns error\n",
            "Request failed after 3 retries in 5.8s: Failed to fetch: `https://index.example/namex/`: dns error; "
            "a package index could not be reached: is there a network?",
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of tiny==2.0 and\n"
            "      you require tiny==2.0, we can conclude that your requirements are unsatisfiable.\n",
            "No solution found when resolving dependencies: Because there is no version of tiny==2.0 and you require "
            "tiny==2.0, we can conclude that your requirements are unsatisfiable.",
        ),
        (
            'ERROR: Exception:\nTraceback (most recent call last):\n  File "x.py", line 1, in <module>\n    write()\n'
            "OSError: [Errno 28] No space left on device\n",
            "OSError: [Errno 28] No space left on device",
        ),
        (
            "ERROR: it is full\n\n[notice] A new release of pip is available\n[notice] pip install --upgrade\n",
            "it is full",
        ),
        (
            "error: Failed to install: tiny-1.0.whl\n  Caused by: failed to copy file\n"
            "  Caused by: Disk quota exceeded (os error 122)\nhint: use another link mode\n",
            "Failed to install: tiny-1.0.whl: failed to copy file: Disk quota exceeded (os error 122)",
        ),
        (
            "ERROR: of the first try\n$ uv pip install\nuv: error while loading shared libraries: libm.so.6\n",
            "uv: error while loading shared libraries: libm.so.6",
        ),
        (
            "Fatal Python error: init_fs_encoding: failed to get the Python codec\nPython runtime state: core\n"
            "ModuleNotFoundError: No module named 'encodings'\n\nCurrent thread 0x01 (most recent call first):\n"
            "  <no Python frame>\n",
            "ModuleNotFoundError: No module named 'encodings'",
        ),
        (
            "Could not fetch URL https://index.example/uv/: connection error: [Errno 111] refused - skipping\n"
            "pip._internal.exceptions.DistributionNotFound: No matching distribution found for uv\n",
            "No matching distribution found for uv: Could not fetch URL https://index.example/uv/: connection error: "
            "[Errno 111] refused; a package index could not be reached: is there a network?",
        ),
        ("WARNING: only this\n", "WARNING: only this"),
    ],
    ids=[
        *("nothing", "last line", "pip", "pip without a network", "uv without a network", "uv", "pip's own failure"),
        *("notice", "uv's causes", "last command", "Python that cannot start", "pip's last word", "nothing but asides"),
    ],
)
def test_the_reason_of_a_failed_installation_is_the_installers_last_error(log, reason):
    assert installation.reason(log) == reason


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "SSLError(SSLCertVerificationError(1, '… certificate verify failed: self-signed certificate'",
            "PIP_CERT=FILE",
        ),
        ("  cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer", "PIP_CERT=FILE"),
        ("(Caused by ProxyError('Cannot connect to proxy.', NewConnectionError(", "HTTPS_PROXY"),
        ("  cause: client error (Connect)\n  cause: tunnel error: unsuccessful", "HTTPS_PROXY"),
        ("401 Client Error: Unauthorized for url: https://index.example/", "does it want a password?"),
        ("HTTP status client error (403 Forbidden) for url", "does it want a password?"),
        # pypa/virtualenv#1040, sethmlarson/socksio#63
        ("OSError: Missing dependencies for SOCKS support.\nProxyError", "pip cannot use a SOCKS proxy"),
        # conda/conda#5073
        ("Could not find a suitable TLS CA certificate bundle, invalid path: /old/ca.pem", "REQUESTS_CA_BUNDLE"),
    ],
)
def test_a_refused_certificate_proxy_or_password_is_named_and_not_the_network(said, told):
    """pypa/pipx#961, pypa/pip#9568 and #4459: "is there a network?" sent people to the wrong place."""
    reason = installation.reason(f"error: it failed\n{said}\n")
    assert told in reason and "is there a network?" not in reason and "\n" not in reason


def test_an_installer_that_was_killed_is_told_by_its_signal():
    assert installation.reason("Collecting tiny\n", -9) == "it was ended by a signal: Killed"


def made_in(prefix: Path, base: Path = Path(sys.executable)) -> Path:
    """An environment as it is after an installation, without packages."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib" / f"python{sysconfig.get_python_version()}").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(base)
    (prefix / installation.MARKER).write_bytes(installation.marker(prefix))
    return prefix


def test_an_environment_is_usable_where_it_was_made_and_while_its_python_is_there(tmp_path):
    base = tmp_path / "python3"
    base.symlink_to(sys.executable)
    made = made_in(tmp_path / "made", base)
    assert installation.usable(made)

    linked = tmp_path / "linked"
    linked.symlink_to(made)
    assert installation.usable(linked)

    moved = tmp_path / "moved"
    made.rename(moved)
    assert not installation.usable(moved)
    moved.rename(made)
    base.unlink()
    assert not installation.usable(made)
    installation.forget_unusable(made)
    assert not (made / installation.MARKER).exists()
    installation.forget_unusable(tmp_path / "never made")
    fixed = tmp_path / "fixed" / ".complete"
    fixed.mkdir(parents=True)  # cannot be unlinked, by root either
    with pytest.raises(installation.InstallationError, match=r"^\S+/fixed: was moved, .* cannot be made again: "):
        installation.forget_unusable(fixed.parent)
    assert not installation.usable(tmp_path / "never made")


@pytest.mark.parametrize("now", ["echo python3.99", "exit 127", "kill -9 $$"], ids=["newer", "broken", "killed"])
def test_an_environment_whose_python_was_replaced_is_made_anew(tmp_path, now):
    """The link to python3 is still there, and the packages are in another version's folder; astral-sh/uv#6755."""
    made = made_in(tmp_path / "made")
    python = made / "bin" / "python"
    python.unlink()
    python.write_text(f"#!/bin/sh\n{now}\n", encoding="utf-8")
    python.chmod(0o755)
    assert not installation.usable(made)


def test_an_environment_as_earlier_versions_made_it_is_made_anew(tmp_path, monkeypatch):
    made = made_in(tmp_path / "made")
    monkeypatch.setattr(installation, "OWN_FIRST", "import os\n")
    assert not installation.usable(made)


def test_a_complete_environment_can_be_used_where_nothing_can_be_written(tmp_path, monkeypatch):
    made = made_in(tmp_path / "made")
    monkeypatch.setattr(installation, "locked", lambda prefix: pytest.fail("a lock is written"))
    installation.provide(ENVS / "uv.txt", made, tmp_path / "log")


def test_a_place_for_environments_that_is_a_file_is_told_in_one_line(tmp_path, capsys):
    (tmp_path / ".venvs").touch()
    prefix = tmp_path / ".venvs" / "tiny"
    with pytest.raises(SystemExit) as ended:
        installation.main(["--lock", "envs/uv.txt", "--prefix", str(prefix), "--log", str(tmp_path / "log")])
    assert str(ended.value).startswith("envs/uv.txt: not installed: [Errno 17] File exists: ")
    assert "\n" not in str(ended.value)


def test_a_lock_is_held_by_the_installer_when_the_command_is_killed(tmp_path):
    """A second installation beside one that outlived `kill -9` would fill the same folder."""
    code = (
        "import sys; from pathlib import Path; from framebench.plan import installation as i\n"
        "with i.locked(Path(sys.argv[1])): i._run(['sh', '-c', 'echo begun; kill -9 $PPID; sleep 60'], sys.stdout, {})"
    )
    command = [sys.executable, "-c", code, tmp_path / "tiny"]
    environment = os.environ | {"PYTHONPATH": "workflow"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, start_new_session=True, text=True, encoding="utf-8"
    ) as killed:
        assert killed.stdout
        while killed.stdout.readline() != "begun\n":
            pass
        assert killed.wait() == -9
        waited = subprocess.run(["flock", "--nonblock", tmp_path / "tiny.lock", "true"], check=False)
        assert waited.returncode == 1
        os.killpg(killed.pid, 9)
    assert subprocess.run(["flock", tmp_path / "tiny.lock", "true"], check=False).returncode == 0


@pytest.fixture
def site_packages(tmp_path, monkeypatch) -> Path:
    """The packages of an environment: tiny 1.0, whose import fails in two lines, and Some_Thing 2.0."""
    for name, version in {"tiny": "1.0", "Some_Thing": "2.0"}.items():
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (tmp_path / "tiny.py").write_text(
        "raise ImportError('libtiny.so: cannot open shared object file\\nand more')\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


PIP = next((Path(".venvs").glob("uv-*/lib/python*/site-packages")), Path())


@pytest.mark.parametrize(
    ("pins", "told"),
    [
        (["tiny==1.0", "some-thing==2.0 ; python_version >= '3'", "windows==1 ; sys_platform == 'win32'"], None),
        (["some.thing==2.1"], "some.thing==2.1 is asked for, and 2.0 is there"),
        (["tiny==1.0", "absent==3.0"], "absent==3.0 is asked for, and nothing of it is there"),
    ],
)
def test_installed_packages_are_compared_with_the_pins_that_apply_here(site_packages, pins, told):
    """An installer that wrote into PIP_TARGET ended with 0, and the empty environment was stamped; pypa/pipx#1770."""
    assert installed.of_this_python(pins, str(PIP)) == told


def test_an_environment_without_metadata_of_a_package_is_not_whole(site_packages):
    (site_packages / "tiny-1.0.dist-info" / "METADATA").write_text("", encoding="utf-8")
    assert "nothing of it" in (installed.of_this_python(["tiny==1.0"], str(PIP)) or "")


def test_an_import_that_fails_is_told_in_one_line_and_a_lock_of_another_name_needs_none(site_packages, capsys):
    assert (
        installed.broken("tiny") == "tiny cannot be imported: ImportError: libtiny.so: cannot open shared object file"
    )
    assert "Traceback" in capsys.readouterr().err
    assert installed.broken("json") is None
    assert installed.broken("no_module_of_that_name") is None
