"""Draws one figure in one language: `python -m framebench figure NAME --help`."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from framebench import languages, workloads
from framebench.analyse import given
from framebench.analyse.table import TableError
from framebench.figures import drawing, registry
from framebench.plan import catalogue


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figure that the command line names; on failure print one line and exit with status 1."""
    parser = argparse.ArgumentParser(prog="python -m framebench figure", description=__doc__)
    parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(registry.families())}")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of this figure, listed by NAME --help")
    asked = parser.parse_args(arguments)
    try:
        figure, _ = registry.find(asked.name)
        options = _options(asked.name, figure).parse_args(asked.options)
        values = given.read(options, figure.needs, figure.settings, typed=False)
        language = languages.load(options.language)
        with drawing.style(language):
            drawn = draw(asked.name, values, language)
            drawing.save(drawn, options.output_svg, options.output_png, options.output_caption, language)
    except (ValueError, OSError, ModuleNotFoundError, catalogue.AdapterError, TableError) as error:
        raise SystemExit(f"error: {error}") from error


def draw(name: str, values: Mapping[str, Any], language: languages.Language) -> Figure:
    """The figure of this name, drawn from `values`: its needs and settings, by name.

    Raises ValueError if there is no such figure, or no data for it.
    """
    figure, fields = registry.find(name)
    # Published frameworks may have no adapter; they keep the name that they were published under.
    tables = [values[name] for name in ("measurements", "largest_batch") if name in values]
    frameworks = {*catalogue.frameworks(), *(name for table in tables for name in table["framework"])}
    measured = values["measurements"]["workload"].unique() if "measurements" in values else []
    context = {
        "language": language,
        "labels": {framework: catalogue.framework_label(framework) for framework in frameworks},
        "article_batch_sizes": {name: workloads.load(name).article_batch_size for name in measured},
    }
    everything = {**values, **context, **figure.fixed, **fields}
    return figure.draw(**{parameter: everything[parameter] for parameter in figure.parameters})


def _options(name: str, figure: registry.Figure) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m framebench figure {name}", description=figure.draw.__doc__)
    parser.add_argument("--language", required=True, help=f"one of {', '.join(languages.languages())}")
    given.add_options(parser, figure.needs, figure.settings)
    parser.add_argument("--output-svg", required=True, type=Path, metavar="SVG", help="vector image to write")
    parser.add_argument("--output-png", required=True, type=Path, metavar="PNG", help="pixel image to write")
    parser.add_argument("--output-caption", required=True, type=Path, metavar="TXT", help="what is read under it")
    return parser
