"""A figure and a page are made before hours of measuring, in every language, and leave nothing behind."""

import pytest

from framebench import languages
from framebench.figures import fonts
from framebench.report import page, rehearsal

pytestmark = pytest.mark.check


def test_a_figure_and_a_page_are_made_in_every_language_and_leave_nothing(tmp_path, monkeypatch):
    pages = []
    monkeypatch.setattr(page, "_charts", lambda: pages.append(1) or "")
    rehearsal.main(["--results", str(tmp_path / "results"), "--languages", *languages.languages()])
    assert len(pages) == len(languages.languages())
    assert list((tmp_path / "results").iterdir()) == []


def _broken(*_):
    raise RuntimeError("a broken\npackage")


def _lacking(language):
    raise fonts.FontError(f"{language.name}: a font is missing")


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        ((page, "_charts", _broken), "a broken package"),
        ((fonts, "make_known", _lacking), "en: a font is missing"),
    ],
)
def test_a_broken_package_or_font_is_told_in_a_line(tmp_path, monkeypatch, place, cause):
    monkeypatch.setattr(*place)
    with pytest.raises(SystemExit) as ended:
        rehearsal.main(["--results", str(tmp_path), "--languages", "en"])
    assert ended.value.code == f"Nothing was measured, as no figure or page can be made here: {cause}"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_in_a_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"Nothing was measured.*: \[Errno 17\] File exists: .*file"):
        rehearsal.main(["--results", str(tmp_path / "file"), "--languages", "en"])
