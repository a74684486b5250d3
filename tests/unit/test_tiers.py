"""The tiers of the tests: a test without one would be run by nobody."""

import os
import subprocess
import sys

import pytest

from conftest import PROJECT

pytestmark = pytest.mark.check


def test_a_test_without_a_tier_is_an_error_at_collection(tmp_path):
    (tmp_path / "test_new.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            PROJECT / "pyproject.toml",
            "-p",
            "conftest",
            "--collect-only",
            tmp_path,
        ],
        env=os.environ | {"PYTHONPATH": f"{PROJECT / 'tests'}:{PROJECT / 'workflow'}"},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert result.returncode != 0
    assert "test_new.py::test_it has no tier: mark it, or its file, as one of check, test, all" in result.stdout
