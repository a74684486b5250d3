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
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Using ", "Config file"))]
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
    (workspace.folder / "presets" / "mine.yaml").write_text("confidence: 95\n", encoding="utf-8")
    message = refused(workspace, "--configfile", "presets/mine.yaml")
    assert message.startswith("config.yaml + presets/mine.yaml: confidence: 95")


# Each message is in test_start, in process; here, Snakemake reads the profile that has them said.
def test_a_file_that_is_missing_is_told_before_snakemake_looks_for_it(workspace):
    message = refused(workspace, "--configfile", "missing.yaml", "-n")
    assert message == (
        "missing.yaml: cannot be read: No such file or directory; a target comes before --configfile, or after --"
    )


def test_a_missing_file_of_a_users_own_profile_is_told_too(workspace, monkeypatch):
    """A profile for another workflow, by SNAKEMAKE_PROFILE: https://github.com/snakemake/snakemake/issues/2663."""
    (workspace.folder / "profile").mkdir()
    profile = workspace.folder / "profile" / "config.yaml"
    profile.write_text("configfile: config/config.yaml\n", encoding="utf-8")
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(profile.parent))
    told = "profile (--profile, SNAKEMAKE_PROFILE): config/config.yaml: cannot be read: No such file or directory"
    assert refused(workspace, "-n").endswith(told)


def test_another_working_folder_is_refused_whatever_it_holds(workspace):
    """https://github.com/Wytamma/snk/issues/97."""
    elsewhere = workspace.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config.yaml").write_text("samples: samples.tsv\n", encoding="utf-8")
    message = refused(workspace, "--directory", "elsewhere", "-n", "article-2018")
    assert message.startswith(f"{elsewhere} is not the project's folder: start Snakemake in {workspace.folder}, ")


def test_typed_values_and_no_home_start_a_campaign(workspace, monkeypatch):
    """https://github.com/snakemake/snakemake/issues/963, https://github.com/cov-lineages/pangolin/issues/533."""
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    values = ["protocol={threads: 1}", "across_cards=true", "question=null", "results=my results"]
    result = workspace.snakemake("-n", "article-2018", "--config", *values)
    assert result.returncode == 0, result.stderr
    assert (workspace.folder / ".snakemake" / "cache" / "snakemake").is_dir()


def test_what_cannot_be_drawn_is_not_measured(workspace):
    """A campaign that failed at its figures, after hours: textgen#6815, deepTools#1416.

    Here, a table of published numbers came back from a spreadsheet of another country.
    """
    table = workspace.folder / "workflow" / "resources" / "rosetta-2018.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",", ";"), encoding="utf-8")
    result = workspace.snakemake()
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    line = result.stderr.rstrip().splitlines()[-1]
    assert line.startswith("Nothing was measured, as no figure or page can be made here: ")
    assert "rosetta-2018.csv: is no table: its columns are separated by semicolons" in line
    assert not list((workspace.folder / "results").glob(".rehearsal-*"))
