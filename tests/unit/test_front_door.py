"""The project's public files: license, citation, changelog, GitHub, and the commands that they name."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import framebench
from conftest import PROJECT

pytestmark = pytest.mark.check

# Each check-jsonschema's own copy, so that no network is needed.
SCHEMAS = {
    ".github/workflows/*.yml": ["vendor.github-workflows", "custom.github-workflows-require-timeout"],
    ".github/dependabot.yml": ["vendor.dependabot"],
    ".github/ISSUE_TEMPLATE/config.yml": ["vendor.github-issue-config"],
    ".github/ISSUE_TEMPLATE/[!c]*.yml": ["vendor.github-issue-forms"],
    "CITATION.cff": ["vendor.citation-file-format"],
}
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
NAME_COMMANDS = [
    PROJECT / "CONTRIBUTING.md",
    PROJECT / ".pre-commit-config.yaml",
    PROJECT / ".github" / "PULL_REQUEST_TEMPLATE.md",
    *WORKFLOWS,
]


def by_schema() -> list:
    return [
        pytest.param(schema, file, id=f"{file.relative_to(PROJECT)}-{schema}")
        for pattern, schemas in SCHEMAS.items()
        for schema in schemas
        for file in sorted(PROJECT.glob(pattern))
    ]


def loaded(name: str) -> dict:
    return yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))


def check(schema: str, file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, file]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")


def test_every_kind_of_file_is_there():
    assert all(list(PROJECT.glob(pattern)) for pattern in SCHEMAS)


@pytest.mark.parametrize(("schema", "file"), by_schema())
def test_file_follows_its_schema(schema, file):
    result = check(schema, file)
    assert result.returncode == 0, result.stdout + result.stderr


def test_schema_refuses_a_job_without_a_timeout(tmp_path):
    workflow = loaded(".github/workflows/tests.yml")
    del workflow["jobs"]["check"]["timeout-minutes"]
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(workflow), encoding="utf-8")
    assert check("custom.github-workflows-require-timeout", tmp_path / "tests.yml").returncode == 1


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflow_may_only_read_and_names_a_version_of_every_action(file):
    workflow = loaded(str(file.relative_to(PROJECT)))
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used and all(re.fullmatch(r"[\w./-]+@(v\d+|[0-9a-f]{40})", action) for action in used)
    assert not any("permissions" in job for job in workflow["jobs"].values())


def test_hooks_need_no_network_and_stand_in_the_repository():
    (repository,) = loaded(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    for hook in repository["hooks"]:
        for test in re.findall(r"tests/\S+\.py", hook["entry"]):
            assert (PROJECT / test).is_file()


@pytest.mark.parametrize("file", NAME_COMMANDS, ids=lambda file: file.name)
def test_every_target_that_is_named_is_in_the_makefile(file):
    targets = set(re.findall(r"^([a-z][a-z-]*):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|run: |entry: )make (?:--silent )?([a-z][a-z-]*)", file.read_text(encoding="utf-8")))
    assert named and named <= targets


def test_every_tier_has_a_job():
    text = "".join(file.read_text(encoding="utf-8") for file in WORKFLOWS)
    assert set(re.findall(r"run: make ([a-z-]+)", text)) == {"check", "test", "test-all"}


def test_citation_changelog_and_package_are_of_one_version():
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", read("CHANGELOG.md"), re.MULTILINE)
    citation = loaded("CITATION.cff")
    assert releases[0] == (framebench.__version__, citation["date-released"])
    assert citation["version"] == framebench.__version__


def test_changelog_has_a_place_for_what_comes_next_above_the_newest_release():
    headings = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    dates = [heading.rpartition(" - ")[2] for heading in headings[1:]]
    assert dates == sorted(dates, reverse=True)


def test_license_is_that_of_the_citation():
    text = read("LICENSE")
    assert text.startswith("MIT License\n\nCopyright (c) 2026 The framebench maintainers\n")
    assert "Permission is hereby granted, free of charge" in text and 'PROVIDED "AS IS"' in text
    assert loaded("CITATION.cff")["license"] == "MIT"


def test_files_that_the_notice_names_are_there():
    named = re.findall(r"\b(?:workflow|envs|results/published)/[\w./*-]*[\w*]", read("NOTICE"))
    assert len(named) > 3
    assert not [name for name in named if not list(PROJECT.glob(name))]


def test_folders_and_files_that_the_contributing_guide_names_are_there():
    named = re.findall(r"`((?:workflow|tests|envs|docs|profiles|presets)/[\w./-]*)`", read("CONTRIBUTING.md"))
    assert len(named) > 10
    assert not [name for name in named if not (PROJECT / name).exists()]


@pytest.mark.skipif(
    not shutil.which("git") or not (PROJECT / ".git").exists(), reason="the project is no checkout, or git is missing"
)
def test_no_tracked_file_has_windows_line_ends():
    lines = subprocess.run(
        ["git", "ls-files", "--eol"], cwd=PROJECT, capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout.splitlines()
    assert lines
    assert not [line for line in lines if line.split()[0] in ("i/crlf", "i/mixed")]


def test_git_is_told_of_line_ends_and_binary_files():
    rules = read(".gitattributes").splitlines()
    assert "* text=auto eol=lf" in rules
    assert {"*.png binary", "*.npz binary", "*.zip binary", "*.gz binary"} <= set(rules)


def read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")
