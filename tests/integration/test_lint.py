"""Snakemake's own linter has one complaint, which is a decision of ours, and answers it."""

import pytest

pytestmark = pytest.mark.test


def test_the_linter_misses_conda_only_and_tells_why(workspace):
    # Every rule there can be.
    workspace.configure(largest_batch={"start": 1024, "at_most": 32768, "host_memory_mib": None})
    result = workspace.snakemake("--lint")
    assert result.returncode == 0, result.stderr
    assert "    * " not in result.stdout + result.stderr
    assert result.stderr.count("No rule has conda or a container: environments are pip's, from locks with hashes") == 1
