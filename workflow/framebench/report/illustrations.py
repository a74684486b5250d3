"""The figures in the page: their sections, titles and pictures, and the tables behind them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from scour import scour

from framebench.analyse import given
from framebench.figures import registry
from framebench.languages import Language

# Characters that an URL in quotes may hold unchanged.
UNQUOTED = " !$&'()*+,-./:;=?@[]^_`{|}~<>"


@dataclass(frozen=True)
class Illustration:
    name: str
    title: str
    url: str  # holds the picture itself
    width: str
    height: str
    caption: tuple[str, ...]  # paragraphs
    sources: tuple[str, ...]  # tables


def illustrations(
    scope: registry.Scope,
    figures: Mapping[str, str],
    captions: Mapping[str, str],
    language: Language,
    devices: Mapping[str, str],
) -> dict[str, list[Illustration]]:
    """The figures that were drawn, by their section of the page, each section in order.

    `figures` has their SVG by name, `captions` the text under each, `devices` the display names of devices.
    """
    sections: dict[str, list[Illustration]] = {figure.section: [] for figure in registry.figures() if figure.section}
    for name in registry.names(scope):
        if name in figures:
            figure, fields = registry.find(name)
            if not figure.section:
                continue
            url = f"data:image/svg+xml,{quote(smaller(figures[name]), safe=UNQUOTED)}"
            sources = tuple(given.table_of(need) for need in figure.needs if need != "record")
            sections[figure.section].append(
                Illustration(
                    name,
                    figure.title_in(language, fields, devices),
                    url,
                    *_size(figures[name]),
                    tuple(captions.get(name, "").splitlines()),
                    sources or ("measurements",),
                )
            )
    return sections


def _size(svg: str) -> tuple[str, str]:
    """Width and height, which reserve a picture's place in the page before it is drawn."""
    found = [re.search(rf'<svg[^>]*\s{name}="([\d.]+)', svg) for name in ("width", "height")]
    width, height = (one[1].partition(".")[0] if one else "" for one in found)
    return width, height


def smaller(svg: str) -> str:
    """The same picture in fewer characters."""
    options = scour.sanitizeOptions()
    options.strip_comments = options.strip_xml_prolog = options.shorten_ids = True
    options.strip_ids = options.remove_descriptive_elements = True
    options.indent_type, options.newlines, options.digits = "none", False, 4
    return scour.scourString(svg, options)
