"""`make figures LANG=ko`: the article's figures in one language, and where they are."""

import pytest

from framebench import languages
from framebench.figures import registry, translated

pytestmark = pytest.mark.check


def test_the_last_lines_are_the_files(tmp_path, capsys):
    translated.main(["ko", "--results", str(tmp_path)])
    names = registry.names(registry.Scope())
    told = capsys.readouterr().out.splitlines()
    assert told == [
        str(tmp_path / "figures" / "ko" / f"{name}.{form}") for name in names for form in ("png", "svg", "txt")
    ]
    assert sorted(told) == sorted(map(str, (tmp_path / "figures" / "ko").iterdir()))


def test_glyphs_that_are_missing_in_any_figure_are_told_at_once(tmp_path, monkeypatch):
    english = languages.load("en")
    own = {"title_article_2018": "図 {gpu}", "credit_papers": "気", "title_memory": "対"}
    monkeypatch.setattr(languages, "load", lambda name: languages.Language(name, {**english.texts, **own}))
    with pytest.raises(SystemExit, match=r"^error: languages/en.yaml: .* have no glyph for 図気; ") as refused:
        translated.main(["en", "--results", str(tmp_path)])
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_an_unknown_language_is_told_in_a_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^error: unknown language 'tlh'; there is: en, ko$"):
        translated.main(["tlh", "--results", str(tmp_path)])
