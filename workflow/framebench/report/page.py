"""Renders a document as one self-contained HTML file."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import vl_convert

from framebench.languages import Language

FOLDER = Path(__file__).parent


def page(document: Mapping[str, Any], language: Language) -> str:
    """The HTML of a document. Its strings are always text, never markup or script.

    The page allows only its own two scripts, its own style and its embedded pictures, and no address to fetch.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": False}
    style, charts, script = (
        (FOLDER / "page.css").read_text(encoding="utf-8"),
        _charts(),
        (FOLDER / "page.js").read_text(encoding="utf-8"),
    )
    policy = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _digests([style]),
        "script-src": _digests([charts, script]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return environment.get_template("page.html").render(
        document,
        text=language,
        language=language.name,
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        style=style,
        charts=charts,
        script=script,
    )


@cache
def _charts() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which gives the page `vegaEmbed` and keeps its other names."""
    return f"(() => {{{vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;')}}})();"


def _digests(contents: Iterable[str]) -> str:
    """Sources of a content security policy that allow only these inline contents."""
    return " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" for content in contents
    )
