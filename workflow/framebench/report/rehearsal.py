"""Makes a figure and a page without results, before hours of measuring: `python -m framebench rehearse --help`."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from framebench import languages
from framebench.analyse import given
from framebench.analyse.table import one_line, read_csv, write_table
from framebench.figures import command as figures
from framebench.plan.catalogue import ROOT
from framebench.report import command as pages
from framebench.report.results import NEEDED

FIGURE = "article-2018-p100"  # needs no results


def main(arguments: Sequence[str] | None = None) -> None:
    """Make and delete them; where that fails, end the process with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m framebench rehearse", description=main.__doc__)
    parser.add_argument("--results", required=True, type=Path, metavar="DIR", help="where results will be")
    parser.add_argument("--languages", required=True, nargs="+", help=f"some of {', '.join(languages.languages())}")
    options = parser.parse_args(arguments)
    try:
        rehearse(options.results, options.languages)
    # A report of anything that can happen here is worth more than hours of measuring without a figure.
    except (Exception, SystemExit) as error:
        said = one_line(str(error).removeprefix("error: ") or repr(error), 400)
        raise SystemExit(f"Nothing was measured, as no figure or page can be made here: {said}") from error


def rehearse(results: Path, names: Sequence[str]) -> None:
    """Make a figure and a page in each language, in a folder inside `results` that is then deleted.

    The published numbers are read, with which a campaign is compared at its end. Raises SystemExit in one line, as the
    commands for them do, TableError or OSError.
    """
    for name, columns in given.PUBLISHED.items():
        read_csv(ROOT / given.resource(name), columns)
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=results) as folder:
        for name in NEEDED:
            write_table(pd.DataFrame(columns=list(given.columns_of(name) or ())), Path(folder, f"{name}.csv"))
        for language in names:
            drawn = Path(folder, "figures", language)
            drawn.mkdir(parents=True)
            files = {"svg": "svg", "png": "png", "caption": "txt"}
            outputs = [f"--output-{kind}={drawn}/{FIGURE}.{end}" for kind, end in files.items()]
            figures.main([FIGURE, "--language", language, *outputs])
            texts = {
                "published": ROOT / given.resource("rosetta_2018"),
                "citation": ROOT / "CITATION.cff",
                "command": "",
            }
            page = {"results": folder, "language": language, "output": f"{folder}/report.{language}.html"}
            pages.main([f"--{option}={value}" for option, value in (page | texts).items()])
