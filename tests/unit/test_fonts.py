"""A newly installed font is found; characters that no font has are reported with the packages that have them."""

from dataclasses import replace

import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager

from framebench import languages
from framebench.figures import drawing, fonts

pytestmark = pytest.mark.check


@pytest.fixture(autouse=True)
def listed(monkeypatch):
    """Matplotlib's list of fonts, as it is from one process to the next: a test adds to a copy."""
    fonts._add_nanum()
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(font_manager.fontManager.ttflist))
    yield
    font_manager.fontManager._findfont_cached.cache_clear()
    fonts._characters.cache_clear()


def english(**texts):
    language = languages.load("en")
    return replace(language, name="xx", texts={**language.texts, **texts})


def install(path, family):
    """A copy of DejaVu Sans under another name."""
    font = TTFont(font_manager.findfont("DejaVu Sans"))
    for record in font["name"].names:
        if record.nameID in (1, 4, 16):
            record.string = family
    font.save(path)


def test_a_font_that_was_installed_after_matplotlib_made_its_list_is_found(tmp_path, monkeypatch):
    language = english(fonts=["Brand New", "NanumGothic"])
    with pytest.raises(fonts.FontError, match="'Brand New', which is not installed"), drawing.style(language):
        pass
    install(tmp_path / "new.ttf", "Brand New")
    (tmp_path / "broken.ttf").write_text("no font", encoding="utf-8")
    files = [str(tmp_path / name) for name in ("broken.ttf", "new.ttf")]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    with drawing.style(language):
        drawing.save(
            drawing.new_figure(1, "Title", "Footer"),
            *(tmp_path / f"a.{kind}" for kind in ("svg", "png", "txt")),
            language,
        )
        assert font_manager.findfont("Brand New", fallback_to_default=False) == files[1]


def test_no_font_is_looked_for_where_all_are_known(monkeypatch):
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: pytest.fail("looked for"))
    fonts.make_known(english(fonts=["dejavu sans", "NanumGothic", "sans-serif"]))


@pytest.mark.parametrize(
    ("family", "told"),
    [
        (
            "NanumGotic",
            r"^languages/xx\.yaml names in 'fonts' 'NanumGotic', which is not installed; did you mean 'NanumGothic'",
        ),
        ("Zzz", "'Zzz', which is not installed; allowed is what `fc-list : family` lists"),
    ],
)
def test_a_family_that_is_not_installed_is_told_with_the_nearest(family, told, monkeypatch):
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    with pytest.raises(fonts.FontError, match=told):
        fonts.make_known(english(fonts=["DejaVu Sans", family]))


def test_all_characters_without_a_glyph_are_told_at_once_with_the_packages_that_have_them():
    language = english(legend_problem="対 กข", title_memory="図気 \U0001fae0")
    with drawing.style(language):
        figure = drawing.new_figure(1, language["title_memory"], "a device called 机 is no text of the language")
        figure.text(0, 0, language["legend_problem"])
        with pytest.raises(fonts.FontError) as refused:
            fonts.replace_glyphs(figure, language)
    assert str(refused.value) == (
        "languages/xx.yaml: DejaVu Sans, NanumGothic have no glyph for กข図対気\U0001fae0; install a font that has, "
        "and add its family to 'fonts': fonts-noto-core of Debian has กข in 'Noto Sans Thai'; "
        "fonts-noto-cjk of Debian has 図対気 in 'Noto Sans CJK JP'; `fc-list :charset=1FAE0` lists fonts with U+1FAE0"
    )


@pytest.mark.parametrize(
    ("characters", "package"),
    [
        ("あアー・漢「。！", "fonts-noto-cjk"),
        ("한", "fonts-nanum"),
        ("жΩé%“Ժ", "fonts-dejavu-core"),
        ("عशบא", "fonts-noto-core"),
        ("\U00013000\ue000", ""),
    ],
)
def test_package(characters, package):
    assert {fonts.package(one)[0] for one in characters} == {package}


def test_characters_that_are_all_there_are_not_refused():
    language = languages.load("ko")
    with drawing.style(language):
        assert not fonts.missing(drawing.new_figure(1, language["title_memory"], "Abc"), language)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("2018年に「公表」した。", ["2018年", "に", "「公", "表」", "し", "た。"]),
        ("배치를", ["배치를"]),
        ("TensorFlow÷Keras", ["TensorFlow÷Keras"]),
        ("サーバー", ["サー", "バー"]),
    ],
)
def test_lines_may_break_inside_words_of_chinese_and_japanese_alone(word, parts):
    assert fonts.parts(word) == parts


def test_a_long_text_without_spaces_does_not_stick_out():
    language = english(fonts=["NanumGothic"])
    with drawing.style(language):
        figure = drawing.new_figure(1, "Title", "漢字" * 100)
        figure.draw_without_rendering()
        assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in figure.texts)
