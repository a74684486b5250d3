"""The README is short and links every page, a broken link fails the site, and schemas describe every field."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

from conftest import PROJECT

pytestmark = pytest.mark.check

README = PROJECT / "README.md"
DOCS = PROJECT / "docs"
PAGES = [README, PROJECT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
FOLDERS = "workflow|presets|profiles|envs|docs|tests|examples|studies|results/published"
WIDTH = 120


def test_the_readme_is_short():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > WIDTH and not line.startswith("|")] == []


def test_the_readme_links_every_page():
    links = re.findall(r"\]\((docs/[^)#]+)\)", README.read_text(encoding="utf-8"))
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= set(links)


def site(folder: Path, text: str) -> str:
    """A page of the site built from docs/ with this text at its end."""
    docs = shutil.copytree(DOCS, folder / "docs")
    with (docs / "gpu.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{text}\n")
    build(load_config(str(PROJECT / "mkdocs.yml"), docs_dir=str(docs), site_dir=str(folder / "site")))
    return (folder / "site" / "gpu.html").read_text(encoding="utf-8")


def test_every_broken_link_fails_the_site(tmp_path):
    broken = ("nowhere.md", "method.md#nowhere", "#nowhere", "../workflow/nowhere.py", "../nowhere.png")
    with pytest.raises(Abort, match=f"{len(broken)} warnings in strict mode"):
        site(tmp_path, " ".join(f"[text]({link})" for link in broken))


def test_links_out_of_the_docs_work_in_the_site(tmp_path):
    page = site(tmp_path, "[words](../README.md#words), [record](../workflow/framebench/record.py).")
    assert '<a href="index.html#words">words</a>, record.' in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_that_a_page_names_exist(page):
    for name in re.findall(rf"`((?:{FOLDERS})/[\w/.-]+)`", page.read_text(encoding="utf-8")):
        assert (PROJECT / name).exists(), name


def fields(schema: dict) -> Iterator[tuple[str, dict]]:
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, field in part.get("properties", {}).items():
            yield name, field
            yield from fields(field.get("items", {}))


@pytest.mark.parametrize("name", ["record", "certificate"])
def test_every_field_has_a_description(name):
    schema = json.loads((PROJECT / "workflow" / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert [field for field, described in fields(schema) if not described.get("description")] == []
