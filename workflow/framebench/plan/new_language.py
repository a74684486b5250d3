"""Make the file of a new language, in English as it stands: `make new-language CODE=…`."""

import re
import sys
from pathlib import Path

from framebench.output import escape_unknown
from framebench.plan import catalogue

FOLDER = catalogue.PACKAGE / "languages"
REFERENCE = FOLDER / "en.yaml"
# The form of an HTML page's `lang`: language, then script and region where they matter.
CODE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
HEADER = """\
# Texts of page, figures and verdict in {code}, still in English. Translate what stands right of each colon, in any
# order; leave the keys at the left as they are. {{placeholders}} may change places, and their number formats, such as
# :,.2f, may change. A text needs quotes where it begins with a brace or a bracket, or has a colon or # beside a space.
# Whatever is wrong is told in one line when the file is read: docs/translating.md.

# For a language that is written from right to left, remove the # of the next line.
# direction: rtl
"""
NEXT = """
{path} has every text in English, and works as it stands:
  1. {path}  translate it; fonts: at its top names the fonts
  2. make figures LANG={code}  draws the article's figures in it, and says where they are or which glyphs are missing
  3. config.yaml  add "{code}" to languages:, and make run writes page, figures and verdict in it too
docs/translating.md tells of fonts, and of what is checked."""


class RefusedError(Exception):
    """A code that no new language can have; one line with the reason."""


def make(code: str, root: Path) -> Path:
    """Write the file of language `code` and return its path, relative to the repository. Raises RefusedError."""
    if not CODE.fullmatch(code):
        raise RefusedError(f"{code!r} is no code of a language; allowed are codes such as ja, pt-BR or zh-Hans")
    path = FOLDER / f"{code}.yaml"
    if (root / path).exists():
        raise RefusedError(f"{code!r} cannot be made: {path} exists")
    text = (root / REFERENCE).read_text(encoding="utf-8")
    text = re.sub(r"\A(#.*\n)*", HEADER.format(code=code), text)
    # In quotes, since `no` (Norwegian) would be false.
    text = re.sub(r"(?m)^language: .*$", f'language: "{code}"  # its own name for itself, such as 한국어', text)
    (root / path).write_text(text, encoding="utf-8")
    return path


def main() -> None:
    escape_unknown()
    code = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        path = make(code, catalogue.ROOT)
    except RefusedError as error:
        sys.exit(f"make new-language CODE=…: {error}")
    print(NEXT.format(path=path, code=code).strip())


if __name__ == "__main__":
    main()
