"""A bundle is made with a network, and sets up the project without one."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from conftest import Workspace

pytestmark = pytest.mark.all

# The smallest bundle: Snakemake with its packages, and Keras.
OPTIONS = "--packages keras --output bundle.tar.gz"


def test_a_bundle_sets_up_the_project_without_a_network(workspace: Workspace, tmp_path_factory):
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        made = workspace.run("git", *identity, *command)
        assert made.returncode == 0, made.stderr
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    packed = workspace.run("make", "bundle", f"PYTHON={version}", f"ARGS={OPTIONS}")
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout.startswith("bundle.tar.gz: the project with ")

    there = tmp_path_factory.mktemp("there")
    with tarfile.open(workspace.folder / "bundle.tar.gz") as archive:
        archive.extractall(there, filter="data")
    nothing = there / "nothing"
    nothing.mkdir()
    path = subprocess.run(
        ["make", "--silent", "path"],
        cwd=there / "framebench",
        # Neither an index nor the packages of an earlier installation.
        env={"PATH": os.environ["PATH"], "HOME": str(nothing), "PIP_INDEX_URL": "http://127.0.0.1:9/simple"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert path.returncode == 0, path.stderr
    planned = subprocess.run(
        [Path(path.stdout.strip(), "snakemake"), "-n", "article-2018"],
        cwd=there / "framebench",
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert planned.returncode == 0, planned.stderr
