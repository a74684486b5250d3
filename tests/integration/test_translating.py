"""A translator's work: the figures of one language, and a new language, by the commands of make alone."""

import os
import subprocess
import sys

import pytest

from conftest import Workspace

pytestmark = pytest.mark.test


def make(workspace: Workspace, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments],
        cwd=workspace.folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )


def test_a_new_language_is_drawn_as_it_stands_and_again_after_a_word_has_changed(workspace):
    result = make(workspace, "new-language", "CODE=ja")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "make figures LANG=ja" in result.stdout
    pictures = []
    file = workspace.folder / "workflow/framebench/languages/ja.yaml"
    for legend in ("Problem", "Task"):
        file.write_text(
            file.read_text(encoding="utf-8").replace("legend_problem: Problem", f"legend_problem: {legend}"),
            encoding="utf-8",
        )
        result = make(workspace, "figures", "LANG=ja")
        assert result.returncode == 0, result.stdout + result.stderr
        files = result.stdout.splitlines()[-9:]
        assert {line.rpartition("/")[0] for line in files} == {"results/figures/ja"}
        pictures.append({line: (workspace.folder / line).read_bytes() for line in files})
    assert pictures[0].keys() == pictures[1].keys()
    changed = {line.rpartition("/")[2] for line in pictures[0] if pictures[0][line] != pictures[1][line]}
    assert changed == {f"article-2018-{gpu}.{form}" for gpu in ("p100", "k80") for form in ("png", "svg")}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "LANG is missing: make figures LANG=ko; allowed: en ko"),
        (["LANG=fr"], "LANG=fr does not exist; allowed: en ko"),
    ],
)
def test_a_language_that_is_missing_or_unknown_is_told_in_a_line(workspace, arguments, told):
    # The locale of whoever works here names no language of the project.
    result = make(workspace, "figures", *arguments, LANG="ko")
    assert result.returncode != 0
    assert told in result.stderr.splitlines()


def test_the_language_is_no_locale_of_what_make_starts(workspace):
    makefile = workspace.folder / "Makefile"
    makefile.write_text(
        makefile.read_text(encoding="utf-8") + "\nlocale:\n\t@echo $$LANG $(language)\n", encoding="utf-8"
    )
    assert make(workspace, "locale", "LANG=ko", LANG="C").stdout == "C.UTF-8 ko\n"
    assert make(workspace, "locale", LANG="C").stdout == "C\n"
