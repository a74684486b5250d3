"""The commands of docs/my-model.md print what the page says, and it names every key and every difference."""

import re
import subprocess
from dataclasses import fields

import pytest

from conftest import PROJECT
from framebench.plan import problem

PAGE = (PROJECT / "docs" / "my-model.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
DIFFERENCES = PROJECT / "workflow" / "framebench" / "prove" / "inside" / "differences.py"


def without_seconds(text: str) -> str:
    return re.sub(r"in \d+ s:", "in n s:", text)


@pytest.mark.all
@pytest.mark.usefixtures("installed")
def test_every_command_prints_what_the_page_says(workspace):
    assert len(SHOWN) == PAGE.count("```sh")
    for commands, output in SHOWN:
        script = f"set -eu; unset ARGS MAKEFLAGS MAKELEVEL PYTHONPATH\n{commands}"
        result = subprocess.run(
            ["bash", "-c", script], cwd=workspace.folder, capture_output=True, text=True, check=False, encoding="utf-8"
        )
        assert without_seconds(result.stdout) == without_seconds(output), result.stderr
        assert bool(result.returncode) == (": different" in output)


@pytest.mark.check
def test_every_key_of_a_problem_is_on_the_page():
    tables = {"input": problem.Input, "target": problem.Target, "optimizer": problem.Optimizer}
    keys = [one.name for one in fields(problem.Problem) if one.name not in tables]
    keys += [one.name for table in tables.values() for one in fields(table)]
    table = PAGE.partition("## problem.yaml")[2].partition("## ")[0]
    assert [key for key in keys if not re.search(rf"[`.]{key}`", table)] == []


@pytest.mark.check
def test_every_difference_of_the_closed_list_is_on_the_page():
    kinds = re.findall(r"""(?:Difference\(|\*\()\s*"([\w ]+)",""", DIFFERENCES.read_text(encoding="utf-8"))
    assert len(kinds) >= 9
    assert [kind for kind in kinds if f"\n| {kind} |" not in PAGE] == []
