"""Environments from locks: the pins of every lock, the user's index settings, and the reasons of failures."""

from pathlib import Path

import pytest

from framebench.plan import installation

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
    lock.write_text(LOCK)
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
    (tmp_path / "said").write_text(CONFIGURED)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncat '{tmp_path}/said'\n")
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
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Configuration file could not be loaded.' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(installation.InstallationError, match=r"^pip's configuration cannot be read: Configuration"):
        installation.pip_settings(python, {})


def test_pip_gets_these_settings_and_nothing_else_of_the_users():
    environment = {"PATH": "/bin", "PIP_CONSTRAINT": "c.txt", "PIP_CONFIG_FILE": "p.conf", "HTTPS_PROXY": "proxy"}
    assert installation.pip_environment({"index-url": "https://mirror.example"}, environment) == {
        "PATH": "/bin",
        "HTTPS_PROXY": "proxy",
        "PIP_INDEX_URL": "https://mirror.example",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def test_uv_gets_pips_settings_under_those_that_the_user_gave_to_uv_itself():
    settings = {"index-url": "https://mirror.example", "find-links": "/opt/a /opt/b", "cert": "/site.pem"}
    settings |= {"proxy": "proxy:3128"}
    environment = {
        "UV_DEFAULT_INDEX": "https://own.example",
        "UV_CONSTRAINT": "c.txt",
        "UV_INDEX_LAB_PASSWORD": "secret",
    }
    environment |= {"UV_EXCLUDE_NEWER": "2020-01-01", "VIRTUAL_ENV": "/another", "UV_CACHE_DIR": "/scratch"}
    given = installation.uv_environment(settings, environment)
    given.pop("UV_SYSTEM_CERTS", None)
    assert given == {
        "UV_DEFAULT_INDEX": "https://own.example",
        "UV_FIND_LINKS": "/opt/a,/opt/b",
        "SSL_CERT_FILE": "/site.pem",
        "ALL_PROXY": "proxy:3128",
        "HTTP_PROXY": "proxy:3128",
        "HTTPS_PROXY": "proxy:3128",
        "UV_INDEX_LAB_PASSWORD": "secret",
        "UV_CACHE_DIR": "/scratch",
    }


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", None),
        ("$ uv venv\nKilled\n", "Killed"),
        ("ERROR: first\nERROR: No space left on device\n", "No space left on device"),
        (
            "WARNING: Retrying after connection broken by NewConnectionError\nERROR: No matching distribution found\n",
            "No matching distribution found; a package index could not be reached: is there a network?",
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
    ],
    ids=["nothing", "last line", "pip", "pip without a network", "uv without a network", "uv"],
)
def test_the_reason_of_a_failed_installation_is_the_installers_last_error(log, reason):
    assert installation.reason(log) == reason


def test_an_environment_is_usable_where_it_was_made_and_while_its_python_is_there(tmp_path):
    made = tmp_path / "made"
    (made / "bin").mkdir(parents=True)
    base = tmp_path / "python3"
    base.touch()
    (made / "bin" / "python").symlink_to(base)
    assert not installation.usable(made)
    (made / installation.MARKER).write_text(str(made))
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
