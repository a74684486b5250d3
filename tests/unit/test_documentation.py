"""The README leads to every page of docs/, and every link and path on them leads to something."""

import re

import pytest

from conftest import PROJECT

pytestmark = pytest.mark.check

README = PROJECT / "README.md"
PAGES = [README, PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
FOLDERS = "workflow|presets|profiles|envs|docs|tests|examples|studies|results/published"
WIDTH = 120


def links(text: str) -> list[str]:
    """Those that lead to a file or a heading of this project."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > WIDTH and not line.startswith("|")] == []


def test_the_readme_leads_to_every_page():
    assert {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"} <= set(links(README.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page):
    for link in links(page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_that_a_page_names_exist(page):
    for name in re.findall(rf"`((?:{FOLDERS})/[\w/.-]+)`", page.read_text(encoding="utf-8")):
        assert (PROJECT / name).exists(), name
