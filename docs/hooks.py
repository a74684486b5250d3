"""Hooks of mkdocs.yml: pages from outside docs/, and links that leave docs/ (GitHub needs neither)."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the PAGES: file of the repository → page."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links of the site.

    A picture is copied to the site. Any other file is linked in the repository if `repo_url` is set; without it, the
    text remains. A link to a missing file is kept, and fails the build.
    """
    uri = page.file.src_uri
    source = {page: path for path, page in PAGES.items()}.get(uri, f"docs/{uri}")

    def rewritten(link: re.Match) -> str:
        picture, text, target, anchor = link.groups(default="")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        there = PAGES.get(path, path.removeprefix("docs/"))
        if picture and (ROOT / path).is_file() and not files.get_file_from_path(there):
            files.append(File.generated(config, there, abs_src_path=str(ROOT / path)))
        if files.get_file_from_path(there):
            return f"{picture}[{text}]({posixpath.relpath(there, posixpath.dirname(uri) or '.')}{anchor})"
        if not (ROOT / path).exists():
            return link[0]
        return f"[{text}]({config.repo_url.rstrip('/')}/blob/HEAD/{path})" if config.repo_url else text

    return LINK.sub(rewritten, markdown)
