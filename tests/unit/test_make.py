"""The Makefile by itself: wrong words, a user's Python variables, folders of any name. Nothing is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PROJECT

pytestmark = pytest.mark.check

# In place of the installation: its variables and its arguments, in a file.
RECORDS = "import os, sys, pathlib; pathlib.Path('asked').write_text(repr([sys.argv[1:], dict(os.environ)]))\n"
PARTS = ("Makefile", "envs", "presets", "workflow/framebench/languages")


def project(folder: Path) -> Path:
    """A project of the parts that make looks at, which records in place of installing."""
    for part in PARTS:
        source = PROJECT / part
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    package = folder / "workflow" / "framebench" / "plan"
    package.mkdir()
    (package / "__init__.py").touch()
    (package.parent / "__init__.py").touch()
    (package / "installation.py").write_text(RECORDS, encoding="utf-8")
    return folder


def make(
    folder: Path, *arguments: str, python: str | None = sys.executable, **variables: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    return subprocess.run(
        ["make", *([f"PYTHON={python}"] if python else []), *arguments],
        cwd=folder,
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def there(tmp_path_factory) -> Path:
    return project(tmp_path_factory.mktemp("make") / "my project")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["run", "PRESET=nope"],
            "PRESET=nope does not exist; allowed: article gpu-quick gpu publish quick transformer",
        ),
        (["-j", "4", "run", "PRESET=it's"], "PRESET=it's does not exist; allowed: article gpu"),
        (["run", "PRESETS=quick"], "PRESETS=… is not known; allowed: ARGS AS BLOCK"),
        (
            ["import", "FROM=no.zip"],
            "FROM=no.zip is no file: make import FROM=h100.zip, an archive",
        ),
        (["publish"], "FROM is no results folder: make publish FROM=results/imported/h100 AS=h100-2026-11-30"),
        (["rerun-busy", "PRESET=nope"], "PRESET=nope does not exist"),
        (["rerun"], "BLOCK is missing: make rerun BLOCK=…"),
        (["prove"], "MODEL is missing: make prove MODEL=../my-net"),
        (["compare", "MODEL=no such folder"], "MODEL=no such folder is no folder"),
        (["figures"], "LANG is missing: make figures LANG=ko; allowed: en ko"),
        (["figures", "LANG=xx"], "LANG=xx does not exist; allowed: en ko"),
        (["path", "PYTHON=/no/python"], "PYTHON=/no/python will not do: Python 3.11, 3.12 or 3.13"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_word_is_refused_before_anything_is_installed(there, arguments, told):
    refused = make(there, *arguments)
    assert refused.returncode == 2
    assert refused.stderr.startswith(told), refused.stderr
    assert not (there / "asked").exists()


def test_variables_for_another_python_do_not_reach_ours(there):
    """PYTHONHOME made make say that Python is missing; getsentry/snuba#7384, ninia/jep#572."""
    foreign = {
        "PYTHONHOME": "/nonexistent",
        "PYTHONPLATLIBDIR": "lib99",
        "PYTHONINSPECT": "1",
        "PYTHONPATH": "/foreign",
    }
    foreign |= {"PYTHONSTARTUP": "/no/file", "PYTHONUSERBASE": "/other", "PYTHONOPTIMIZE": "2"}
    assert make(there, "path", **foreign).returncode == 0
    _, variables = eval((there / "asked").read_text(encoding="utf-8"))
    (there / "asked").unlink()
    assert {name for name in variables if name.startswith("PYTHON")} == {"PYTHON", "PYTHONPATH", "PYTHONUTF8"}
    assert variables["PYTHONPATH"] == "workflow"


def test_a_python_is_found_with_a_foreign_home_set_and_past_one_that_does_not_start(there, tmp_path):
    stub = tmp_path / "python3.13"  # as an alias of a shop, or a shim of a version manager without the version
    stub.write_text(
        "#!/bin/sh\necho 'Python was not found; run without arguments to install' >&2\nexit 49\n", encoding="utf-8"
    )
    stub.chmod(0o755)
    (tmp_path / "python3.12").symlink_to(sys.executable)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    found = make(there, "path", python=None, PATH=path, PYTHONHOME="/nonexistent")
    assert found.returncode == 0, found.stderr
    (there / "asked").unlink()


@pytest.mark.parametrize("name", ["my project", "a'b", "ünï", "$x", "(1)", "100%", 'a"b', "a`b;c&d", "{x}*"])
def test_the_place_of_programs_is_told_in_a_folder_of_any_name(tmp_path, name):
    """snakemake/snakemake#1546, #2981, #3235, sio/Makefile.venv#5."""
    folder = project(tmp_path / name)
    told = make(folder, "--silent", "path")
    assert told.returncode == 0, told.stderr
    assert Path(told.stdout.removesuffix("\n")).parents[1] == folder / ".venvs"
    (arguments, _) = eval((folder / "asked").read_text(encoding="utf-8"))
    assert arguments[:4] == [
        "--lock",
        "envs/workflow.txt",
        "--prefix",
        str(Path(told.stdout.strip()).parent.relative_to(folder)),
    ]


def test_an_assembler_names_no_folder_of_results(there):
    """Compilers of conda set AS: it became the name of the imported results, or was refused as none."""
    (there / "h100.zip").touch()
    words = ["--dry-run", "import", "FROM=h100.zip"]
    assert "--name" not in make(there, *words, AS="as").stdout
    assert '--name "$AS"' in make(there, *words, "AS=far").stdout


def test_an_empty_variable_python_is_none(there):
    assert make(there, "path", python=None, PYTHON="").returncode == 0
    (there / "asked").unlink()


def test_make_in_another_folder_is_told_where_the_project_is(there, tmp_path):
    refused = make(tmp_path, "-f", str(there / "Makefile"), "run")
    assert refused.returncode == 2
    assert "this is not the folder of the project: make -C " in refused.stderr


def test_the_environments_made_first_are_those_of_the_preset(there):
    """Otherwise those of config.yaml are installed, gigabytes that a preset with other frameworks never uses."""
    told = make(there, "--dry-run", "run", "PRESET=quick").stdout
    calls = [line for line in told.splitlines() if "bin/snakemake" in line]
    assert len(calls) == 2 and "environments" in calls[0]
    assert all('--configfile "presets/$PRESET.yaml"' in line for line in calls)
