"""What a wrong configuration gets: one line, at once, and nothing installed or measured."""

import os
import stat

import pytest

pytestmark = pytest.mark.test


@pytest.fixture(autouse=True)
def nothing_installed(workspace):
    """Were anything to be installed or measured for a wrong configuration, it would show here."""
    (workspace.folder / ".venvs").unlink()
    yield
    assert not (workspace.folder / ".venvs").exists()
    assert not (workspace.folder / "results" / "runs").exists()


def refused(workspace, *arguments) -> str:
    """What Snakemake says when it refuses: the last line, which must be the only one that is an error."""
    result = workspace.snakemake(*arguments)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Using workflow", "Config file"))]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"framework": ["pytorch"]}, "config.yaml: framework: unknown key; did you mean 'frameworks'?"),
        ({"frameworks": ["pytorhc"]}, "config.yaml: frameworks[0]: 'pytorhc' does not exist; did you mean 'pytorch'?"),
        ({"frameworks": ["pytorch"]}, "config.yaml: baseline: "),
        ({"matrix": []}, "config.yaml: matrix: "),
        ({"protocol": {"seed": 1.5}}, "config.yaml: protocol.seed: 1.5"),
        ({"data": {"source": "cifar-10", "archive": "/nowhere.tar.gz"}}, "config.yaml: data.archive: "),
    ],
    ids=["key", "framework", "baseline", "matrix", "seed", "archive"],
)
def test_a_wrong_value_is_refused_with_file_key_and_what_is_allowed(workspace, changes, message):
    workspace.configure(**changes)
    assert refused(workspace).startswith(message)


def test_a_configuration_that_is_not_yaml_is_refused_with_its_line(workspace):
    (workspace.folder / "config.yaml").write_text("frameworks: [pytorch\nbaseline: pytorch\n")
    assert refused(workspace).startswith("config.yaml: line 2")


def test_a_missing_configuration_is_named(workspace):
    (workspace.folder / "config.yaml").unlink()
    assert refused(workspace).startswith("config.yaml: cannot be read")


def test_a_wrong_preset_is_named_with_its_file(workspace):
    (workspace.folder / "presets" / "mine.yaml").write_text("confidence: 95\n")
    message = refused(workspace, "--configfile", "presets/mine.yaml")
    assert message.startswith("config.yaml + presets/mine.yaml: confidence: 95")


def test_a_results_folder_that_cannot_be_written_to_is_refused(workspace):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    results = workspace.folder / "results"
    results.mkdir()
    results.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert "results" in refused(workspace)
