"""The file of a new language is valid unchanged, in English."""

import re
import shutil
import sys

import pytest

from framebench import languages
from framebench.figures import translated
from framebench.plan import catalogue, new_language
from framebench.plan.new_language import RefusedError

pytestmark = pytest.mark.check


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A copy of the languages, which the project reads."""
    shutil.copytree(catalogue.ROOT / new_language.FOLDER, tmp_path / new_language.FOLDER)
    monkeypatch.setattr(languages, "FOLDER", tmp_path / new_language.FOLDER)
    return tmp_path


@pytest.mark.parametrize("code", ["ja", "pt-BR", "zh-Hans", "sr-Latn-RS", "es-419", "no"])
def test_a_new_language_has_every_text_in_english_and_its_code_for_a_name(root, code):
    assert new_language.make(code, root) == new_language.FOLDER / f"{code}.yaml"
    assert languages.load(code).texts == {**languages.load("en").texts, "language": code}


def test_the_articles_figures_are_drawn_in_it(root, tmp_path):
    new_language.make("ja", root)
    files = translated.draw(languages.load("ja"), tmp_path / "results")
    assert len(files) == 9
    drawn = [path for path in files if path.suffix != ".txt"]
    assert all(path.stat().st_size > 10_000 and path.parent.name == "ja" for path in drawn)


def test_the_line_that_makes_it_run_from_right_to_left_is_there(root):
    path = root / new_language.make("ar", root)
    path.write_text(path.read_text(encoding="utf-8").replace("# direction: rtl", "direction: rtl"), encoding="utf-8")
    assert languages.load("ar").direction == "rtl"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "'' is no code"),
        ("JA", "'JA' is no code of a language; allowed are codes such as ja, pt-BR or zh-Hans"),
        ("japanese", "'japanese' is no code"),
        ("pt_BR", "'pt_BR' is no code"),
        ("../ja", "'../ja' is no code"),
        ("ko", "'ko' cannot be made: workflow/framebench/languages/ko.yaml exists"),
    ],
)
def test_a_code_that_cannot_be_is_refused_in_a_line_and_nothing_is_written(root, code, reason, monkeypatch):
    before = sorted(root.rglob("*"))
    with pytest.raises(RefusedError, match=reason):
        new_language.make(code, root)
    monkeypatch.setattr(sys, "argv", ["new_language", code])
    with pytest.raises(SystemExit, match=f"^make new-language CODE=…: {re.escape(reason.partition(';')[0])}"):
        new_language.main()
    assert sorted(root.rglob("*")) == before


def test_the_next_step_is_printed(root, monkeypatch, capsys):
    monkeypatch.setattr(catalogue, "ROOT", root)
    monkeypatch.setattr(sys, "argv", ["new_language", "ja"])
    new_language.main()
    told = capsys.readouterr().out
    assert "make figures LANG=ja" in told and "workflow/framebench/languages/ja.yaml" in told
