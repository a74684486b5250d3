"""Fonts of a language: the families searched for its glyphs, and the font to install if one is missing."""

import difflib
import importlib.metadata
import logging
import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from framebench.languages import Language

# Latin, Greek, Cyrillic, Armenian, Georgian and many signs; Matplotlib includes it, and Debian has a package.
COMMON = ("fonts-dejavu-core", "DejaVu Sans")
# First word of the Unicode names of a script's characters → Debian's package with a font for it, and the font's family.
PACKAGES = {
    **dict.fromkeys(["CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "FULLWIDTH"], ("fonts-noto-cjk", "Noto Sans CJK JP")),
    "HANGUL": ("fonts-nanum", "NanumGothic"),
    **{
        script.upper(): ("fonts-noto-core", f"Noto Sans {script}")
        for script in (
            *("Arabic", "Bengali", "Devanagari", "Ethiopic", "Gujarati", "Gurmukhi", "Hebrew", "Kannada", "Khmer"),
            *("Lao", "Malayalam", "Myanmar", "Sinhala", "Tamil", "Telugu", "Thai"),
        )
    },
}
CJK_PUNCTUATION = range(0x3000, 0x3040)  # matches any other name
# Between two characters of Chinese or Japanese, which have no spaces; not before a closing or lengthening mark, nor
# after an opening one.
BREAK = re.compile(
    "(?<=[\u3001-\u30ff\u3400-\u9fff\uff01-\uff60])(?=[\u3001-\u30ff\u3400-\u9fff\uff01-\uff60])"
    "(?<![「『（〔])(?![、。，．：；！？」』）〕ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ])"
)


class FontError(ValueError):
    """A font is not installed, or no font of a language has some characters; one line that says how to fix it."""


def make_known(language: Language) -> None:
    """Register the fonts of a language with Matplotlib; FontError if one is not installed.

    Matplotlib's list has its own fonts only; those of the system are looked for where a language names others.
    """
    _add_nanum()
    # Many fonts have no bold: titles are then regular, which needs no warning.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    if _unknown(language.fonts):
        listed = {font.fname for font in fontManager.ttflist}
        for path in sorted(set(font_manager.findSystemFonts()) - listed):
            try:
                fontManager.addfont(path)
            except (RuntimeError, OSError, ValueError):
                continue  # no font for drawing
    for family in _unknown(language.fonts):
        near = difflib.get_close_matches(family, sorted({font.name for font in fontManager.ttflist}), n=1)
        meant = f"did you mean '{near[0]}'? Allowed" if near else "allowed"
        raise FontError(
            f"languages/{language.name}.yaml names in 'fonts' '{family}', which is not installed; {meant} is what "
            "`fc-list : family` lists"
        )


def _unknown(families: Iterable[str]) -> list[str]:
    known = {font.name.lower() for font in fontManager.ttflist} | font_manager.font_family_aliases
    return [family for family in families if family.lower() not in known]


@cache
def _add_nanum() -> None:
    """Register NanumGothic with Matplotlib, from the files of koreanize-matplotlib.

    The package itself is not imported, because that changes global settings. Its regular file comes first, since
    Matplotlib takes the other for regular too; it gives weight 600 to the file called bold, and 700 to the extra bold
    one.
    """
    distribution = importlib.metadata.distribution("koreanize-matplotlib")
    for weight in ("NanumGothic", "NanumGothicExtraBold"):
        fontManager.addfont(str(distribution.locate_file(f"koreanize_matplotlib/fonts/{weight}.ttf")))


def parts(word: str) -> list[str]:
    """The parts of a word between which a line may break."""
    return BREAK.split(word)


def replace_glyphs(figure: Figure, language: Language) -> None:
    """Replace by a question mark every character that none of the fonts that draw it has.

    A device may have any name. Raises FontError if characters of the language's own texts are missing.
    """
    found = _lacking(figure)
    refuse(_of_language(found, language), language)
    for text, lacking in found:
        text.set_text(text.get_text().translate({ord(one): "?" for one in lacking}))


def missing(figure: Figure, language: Language) -> set[str]:
    """Characters of the language's own texts that a figure shows and its fonts lack."""
    return _of_language(_lacking(figure), language)


def refuse(characters: Iterable[str], language: Language) -> None:
    """Raise FontError if the fonts of a language lack characters; it names packages that have them."""
    without = sorted(characters)
    if not without:
        return
    of_package: dict[tuple[str, str], list[str]] = {}
    for one in without:
        of_package.setdefault(package(one), []).append(one)
    advice = [
        f"{name} of Debian has {''.join(ones)} in '{family}'"
        if name
        else f"`fc-list :charset={ord(ones[0]):X}` lists fonts with {', '.join(f'U+{ord(one):04X}' for one in ones)}"
        for (name, family), ones in of_package.items()
    ]
    raise FontError(
        f"languages/{language.name}.yaml: {', '.join(language.fonts)} have no glyph for {''.join(without)}; "
        f"install a font that has, and add its family to 'fonts': {'; '.join(advice)}"
    )


def package(character: str) -> tuple[str, str]:
    """Debian's package with a font that has this character, and the font's family; empty if none is known."""
    name = unicodedata.name(character, "").replace("-", " ")
    script = "CJK" if ord(character) in CJK_PUNCTUATION else name.partition(" ")[0]
    return PACKAGES.get(script, COMMON if character in _characters((COMMON[1],), "normal") else ("", ""))


def _lacking(figure: Figure) -> list[tuple[Text, set[str]]]:
    """The texts of a figure with characters that their fonts lack."""
    figure.draw_without_rendering()  # makes the tick labels
    found = [
        (text, set(text.get_text()) - {"\n"} - _characters(tuple(text.get_fontfamily()), text.get_fontweight()))
        for text in figure.findobj(Text)
    ]
    return [(text, lacking) for text, lacking in found if lacking]


def _of_language(found: Iterable[tuple[Text, set[str]]], language: Language) -> set[str]:
    return set().union(*(lacking for _, lacking in found)) & language.characters


@cache
def _characters(families: tuple[str, ...], weight: str | int) -> set[str]:
    """All characters that can be drawn; a glyph that one family lacks is taken from the next."""
    fonts = [FontProperties(family=family, weight=weight) for family in families]
    paths = [font_manager.findfont(font, fallback_to_default=False) for font in fonts]
    return {chr(code) for path in paths for code in FT2Font(path, face_index=path.face_index).get_charmap()}
