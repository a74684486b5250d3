"""Draws the article's figures in one language and prints their paths: `make figures LANG=ko`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from framebench import languages
from framebench.analyse import given
from framebench.analyse.table import TableError, read_csv
from framebench.figures import command, drawing, fonts, registry
from framebench.plan import catalogue


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw them and print the paths of their files; on failure print one line and exit with status 1."""
    parser = argparse.ArgumentParser(prog="python -m framebench figures", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("language", help=f"one of {', '.join(languages.languages())}")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        files = draw(languages.load(options.language), options.results)
    except (ValueError, OSError, catalogue.AdapterError, TableError) as error:
        raise SystemExit(f"error: {error}") from error
    print(*files, sep="\n")


def draw(language: languages.Language, results: Path) -> list[Path]:
    """The PNG, the SVG and the caption of each figure that needs no measurements, at the paths that Snakemake uses.

    Raises FontError for the characters missing in all of them together.
    """
    with drawing.style(language):
        figures = {}
        for name in registry.names(registry.Scope()):
            needs = registry.find(name)[0].needs
            values = {need: read_csv(catalogue.ROOT / given.resource(need), given.columns_of(need)) for need in needs}
            figures[name] = command.draw(name, values, language)
        fonts.refuse(set().union(*(fonts.missing(figure, language) for figure in figures.values())), language)
        folder = results / "figures" / language.name
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for name, figure in figures.items():
            png, svg, caption = (folder / f"{name}.{kind}" for kind in ("png", "svg", "txt"))
            drawing.save(figure, svg, png, caption, language)
            files += [png, svg, caption]
    return files
