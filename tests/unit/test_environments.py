"""Environments: relevant changes of a lock, and a site's own interpreters."""

import sys

import pytest
from test_installation import LOCK

from framebench.plan import catalogue, environments, installation

pytestmark = pytest.mark.check


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "pytorch-cpu.txt"
    path.write_text(LOCK)
    return path


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [("# a comment", "# other words", False), ("aa", "cc", True), ("2.4.6", "2.4.7", True), ("    --", "  --", False)],
)
def test_the_digest_changes_with_pins_and_hashes_only(lock, old, new, changes):
    before = environments.prefix(lock)
    lock.write_text(LOCK.replace(old, new))
    assert (environments.prefix(lock) != before) is changes


def test_the_digest_changes_with_the_python_version(lock, monkeypatch):
    before = environments.digest(lock)
    monkeypatch.setattr(environments.platform, "python_version", lambda: "3.99.0")
    assert environments.digest(lock) != before


@pytest.mark.parametrize(("driver", "packages"), [(True, "cuda"), (False, "cpu")])
def test_auto_follows_the_nvidia_driver(tmp_path, monkeypatch, driver, packages):
    monkeypatch.setattr(environments, "DRIVER", tmp_path / "version")
    if driver:
        environments.DRIVER.touch()
    assert environments.packages("auto") == packages
    assert environments.packages("cpu") == "cpu"
    assert environments.packages("cuda") == "cuda"


@pytest.mark.parametrize("framework", catalogue.frameworks())
def test_every_framework_has_a_lock_for_each_kind_of_device(framework):
    for packages in catalogue.adapter(framework).precisions:
        assert installation.pins(environments.lock_of(framework, packages))


def test_a_sites_interpreter_is_named_by_its_packages(tmp_path):
    found = environments.site("pytorch", sys.executable, ("numpy", "psutil"), str(tmp_path))
    assert (found.python, found.prefix) == (sys.executable, sys.prefix)
    assert found.packages[0] == f"python=={sys.version.split()[0]}"
    assert any(package.startswith("numpy==") for package in found.packages)
    assert found.ready == f"{tmp_path}/environments/pytorch-{found.digest}.txt"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("echo no JSON", "is no Python that runs"),
        ("exit 1", "is no Python that runs"),
        ('echo \'{"python_version": "3.9.2"}\'', "is Python 3.9.2; 3.11 or newer is needed"),
        (
            'echo \'{"python_version": "3.12.1", "missing": ["pynvml", "torch"]}\'',
            "cannot import pynvml, torch",
        ),
    ],
)
def test_a_sites_interpreter_that_cannot_be_used_is_refused_with_the_reason(tmp_path, said, reason):
    script = tmp_path / "python3"
    script.write_text(f"#!/bin/sh\n{said}\n")
    script.chmod(0o755)
    with pytest.raises(environments.InterpreterError, match=reason):
        environments.of("pytorch", "cpu", {"pytorch": str(script)}, "results")


def test_only_the_environment_that_is_named_is_the_sites(tmp_path):
    script = {"pytorch": str(tmp_path / "none")}
    assert environments.of("tensorflow", "cpu", script, "results").packages is None
    with pytest.raises(environments.InterpreterError, match=r"^interpreters\.pytorch: "):
        environments.of("pytorch", "cpu", script, "results")


def test_a_sites_interpreter_must_have_the_imports_of_measuring():
    assert catalogue.third_party("pytorch") == ("numpy", "psutil", "pynvml", "torch")
    assert catalogue.third_party("keras-tensorflow") == ("keras", "numpy", "psutil", "pynvml", "tensorflow")
