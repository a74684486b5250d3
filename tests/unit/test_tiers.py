"""The tiers of the tests: a test without one would be run by nobody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PROJECT

pytestmark = pytest.mark.check


def pytest_on(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-c", PROJECT / "pyproject.toml", "-p", "conftest", *options, folder],
        env=os.environ | {"PYTHONPATH": f"{PROJECT / 'tests'}:{PROJECT / 'workflow'}"} | variables,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )


def test_no_test_begins_after_the_end_of_the_gates_time_and_each_is_listed(tmp_path):
    text = "import pytest\n@pytest.mark.check\ndef test_it():\n    assert False\n"
    (tmp_path / "test_late.py").write_text(text, encoding="utf-8")
    late = pytest_on(tmp_path, FRAMEBENCH_TEST_END="1")
    assert late.returncode == 0, late.stdout
    assert "SKIPPED [1]" in late.stdout and "not begun: the time of FRAMEBENCH_TEST_END was over" in late.stdout
    assert pytest_on(tmp_path, FRAMEBENCH_TEST_END="9e9").returncode == 1


def test_a_test_without_a_tier_is_an_error_at_collection(tmp_path):
    (tmp_path / "test_new.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    result = pytest_on(tmp_path, "--collect-only")
    assert result.returncode != 0
    assert "test_new.py::test_it has no tier: mark it, or its file, as one of check, test, all" in result.stdout
