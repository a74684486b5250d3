"""The bundle for a machine without a network: the packages of its Python, the project, and the commit."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from conftest import PROJECT
from framebench.plan import bundle, installation
from framebench.revision import revision

pytestmark = pytest.mark.check

LOCK = """\
--extra-index-url https://index.example/simple
plain==1.0 \\
    --hash=sha256:11 \\
    --hash=sha256:22
build==2.0+cpu
old==3.0 ; python_full_version < '3.12' \\
    --hash=sha256:33
arm==4.0 ; platform_machine == 'aarch64' \\
    --hash=sha256:44
windows==5.0 ; sys_platform == 'win32' \\
    --hash=sha256:55
"""


@pytest.mark.parametrize(
    ("python", "machine", "names"),
    [
        ("3.11", "x86_64", ["plain", "build", "old"]),
        ("3.13", "x86_64", ["plain", "build"]),
        ("3.12", "aarch64", ["plain", "build", "arm"]),
    ],
)
def test_the_packages_are_those_of_the_other_machine(tmp_path, python, machine, names):
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    found = bundle.needed(lock, python, machine)
    assert list(found) == names
    assert found["plain"] == "plain==1.0 --hash=sha256:11 --hash=sha256:22"


@pytest.mark.parametrize("packages", bundle.PACKAGES)
def test_every_lock_has_packages_for_every_python(packages):
    for lock, names in bundle.locks(packages, ["pytorch", "keras-tensorflow", "jax"]).items():
        for python in bundle.PYTHONS:
            found = bundle.needed(PROJECT / lock, python, "x86_64")
            assert found and set(names or ()) <= set(found)


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """A pip that has no wheel of `source` and makes the given wheel of it; its downloads are noted."""
    asked = []

    def ready(wheel: str):
        def run(command, requirements, variables):
            asked.append((command[4], sorted(one.split()[0] for one in requirements)))
            words = [str(word) for word in command]
            if "--no-binary=:all:" in words or requirements == [bundle.BUILD]:
                name = requirements[0].split("==")[0]
                Path(words[words.index("--dest") + 1], f"{name}.{'whl' if name == bundle.BUILD else 'tar.gz'}").touch()
            elif command[4] == "wheel":
                Path(command[command.index("--wheel-dir") + 1], wheel).touch()
            elif any(one.startswith("source==") for one in requirements):
                return "ERROR: No matching distribution found for source==1.0"
            return None

        monkeypatch.setattr(bundle, "_run", run)
        monkeypatch.setattr(bundle, "bootstrap", lambda *_: Path(sys.executable).parent / "uv")
        monkeypatch.setattr(bundle, "pip_settings", lambda *_: {})
        return asked

    return ready


WANTED = {"plain": "plain==1.0 --hash=sha256:1", "source": "source==1.0 --hash=sha256:2", "build": "build==2.0+cpu"}


def test_a_package_without_a_wheel_goes_as_its_source_and_one_without_a_hash_is_asked_for_apart(pip, tmp_path):
    asked = pip("source-1.0-py3-none-any.whl")
    bundle.download(WANTED, [], tmp_path, "3.12", "x86_64")
    assert asked == [
        ("download", ["plain==1.0", "source==1.0"]),
        ("wheel", ["source==1.0"]),
        ("download", ["source==1.0"]),
        ("download", ["setuptools"]),
        ("download", ["plain==1.0"]),
        ("download", ["build==2.0+cpu"]),
    ]
    # A wheel that was made here would not have the hash that the lock has.
    assert sorted(file.name for file in tmp_path.iterdir()) == ["setuptools.whl", "source.tar.gz"]


def test_a_package_that_is_compiled_cannot_be_made_for_another_machine(pip, tmp_path):
    pip("source-1.0-cp311-cp311-linux_x86_64.whl")
    with pytest.raises(bundle.BundleError, match=r"source==1.0 has no wheel for Python 3.12 on x86_64"):
        bundle.download(WANTED, [], tmp_path, "3.12", "x86_64")


@pytest.fixture
def packed(tmp_path, monkeypatch) -> Path:
    """The unpacked bundle of a project of two files, one of them a result."""
    project = tmp_path / "project"
    (project / "results").mkdir(parents=True)
    for name in ("Snakefile", "results/old.csv"):
        (project / name).write_text("content")
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    for command in (["init"], ["add", "."], ["commit", "--message", "first"]):
        subprocess.run(["git", *identity, *command], cwd=project, check=True, capture_output=True)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "plain-1.0-py3-none-any.whl").touch()
    monkeypatch.chdir(project)
    assert bundle.pack(tmp_path / "bundle.tar.gz", tmp_path / "wheels", revision(project)) == 1
    with tarfile.open(tmp_path / "bundle.tar.gz") as archive:
        archive.extractall(tmp_path / "there", filter="data")
    return tmp_path / "there" / bundle.TOP


def test_the_project_is_packed_with_wheels_and_without_results(packed):
    files = sorted(str(path.relative_to(packed)) for path in packed.rglob("*") if path.is_file())
    assert files == ["Snakefile", "commit.json", "wheels/plain-1.0-py3-none-any.whl"]


def test_records_of_a_bundle_name_its_commit_and_whether_a_file_was_changed(packed):
    here = revision(packed.parents[1] / "project")
    assert len(here["git_commit"]) == 40
    assert revision(packed) == here
    (packed / "Snakefile").write_text("changed")
    assert revision(packed) == here | {"git_dirty": True}
    (packed / "Snakefile").unlink()
    assert revision(packed) == here | {"git_dirty": True}


def test_a_bundle_installs_from_its_wheels_and_asks_no_network(tmp_path, monkeypatch):
    python = next((PROJECT / ".venvs").glob("uv-*/bin/python"))  # one that has pip
    monkeypatch.chdir(tmp_path)
    user = {"PIP_INDEX_URL": "https://index.example/simple"}
    assert installation.pip_settings(python, user).get("find-links") != "wheels"
    (tmp_path / installation.WHEELS).mkdir()
    settings = installation.pip_settings(python, user)
    assert (settings["no-index"], settings["find-links"]) == ("1", "wheels")
