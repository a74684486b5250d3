"""A wrong configuration gets one line, at once, and nothing is installed or measured."""

import pytest

pytestmark = pytest.mark.test


@pytest.fixture(autouse=True)
def nothing_installed(workspace):
    """Any installation or measurement for a wrong configuration would show here."""
    (workspace.folder / ".venvs").unlink()
    yield
    assert not (workspace.folder / ".venvs").exists()
    assert not (workspace.folder / "results" / "runs").exists()


def refused(workspace, *arguments) -> str:
    """Snakemake's refusal: the last line, which must be its only error."""
    result = workspace.snakemake(*arguments)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Using workflow", "Config file"))]
    assert len(lines) == 1, result.stderr
    return lines[0]


# test_config checks every message, in process; here, Snakemake shows it with its origin.
def test_a_wrong_value_is_refused_with_file_key_and_what_is_allowed(workspace):
    workspace.configure(framework=["pytorch"])
    assert refused(workspace).startswith("config.yaml: framework: unknown key; did you mean 'frameworks'?")


def test_a_missing_configuration_is_named(workspace):
    (workspace.folder / "config.yaml").unlink()
    assert refused(workspace).startswith("config.yaml: cannot be read")


def test_a_wrong_preset_is_named_with_its_file(workspace):
    (workspace.folder / "presets" / "mine.yaml").write_text("confidence: 95\n")
    message = refused(workspace, "--configfile", "presets/mine.yaml")
    assert message.startswith("config.yaml + presets/mine.yaml: confidence: 95")
