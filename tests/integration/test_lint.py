"""Snakemake's own linter has one complaint, which is a decision of ours."""

import pytest

pytestmark = pytest.mark.test


def test_the_linter_misses_conda_only(workspace):
    result = workspace.snakemake("--lint")
    titles = {line.strip() for line in (result.stdout + result.stderr).splitlines() if line.startswith("    * ")}
    # Environments are pip's, from hashed locks, made by a rule: workflow/rules/environments.smk.
    assert titles == {"* Specify a conda environment or container for each rule.:"}
