"""Environments made by the real pip and uv, of a package that is made here, without a network."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import PROJECT
from framebench.plan import installation

pytestmark = pytest.mark.test

WHEEL = "tiny-1.0-py3-none-any.whl"
INSIDE = {
    "tiny.py": "WORD = 'here'\n",
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
    lock.write_text(f"{before}tiny==1.0 \\\n    --hash=sha256:{digest}\n")
    return lock


def install(lock: Path, prefix: Path, wheels: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, for a user whose pip takes packages from the folder alone, and who has a constraint besides."""
    constraint, configuration = wheels.parent / "constraint.txt", wheels.parent / "pip.conf"
    constraint.write_text("tiny<1\n")
    configuration.write_text(f"[global]\nconstraint = {constraint}\nfind-links = {wheels}\n")
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
    )


def said_by(prefix: Path) -> str:
    command = [prefix / "bin" / "python", "-c", "import tiny; print(tiny.WORD)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_users_folder_of_wheels_is_used_and_not_the_users_constraint(wheels, venvs):
    prefix = venvs / "tiny with a space"
    made = install(lock_of(wheels), prefix, wheels)
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
