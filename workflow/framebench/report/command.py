"""Writes the page of a campaign in one language: `python -m framebench page --help`."""

import argparse
import json
import sys
from pathlib import Path

import yaml

from framebench import files, languages
from framebench.analyse.table import TableError, read_csv
from framebench.plan import catalogue
from framebench.report.document import Making, document
from framebench.report.page import page
from framebench.report.results import ResultsError, read


def main(arguments: list[str] | None = None) -> None:
    """Write the page; on failure end the process with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m framebench page", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--results", required=True, type=Path, metavar="DIR", help="folder of the campaign's results")
    parser.add_argument("--language", required=True, help=f"one of {', '.join(languages.languages())}")
    parser.add_argument(
        "--languages", nargs="+", metavar="LANGUAGE", help="all languages with a page, for links between the pages"
    )
    parser.add_argument("--published", required=True, type=Path, metavar="CSV", help="rosetta-2018.csv")
    parser.add_argument("--citation", required=True, type=Path, metavar="CFF", help="CITATION.cff")
    parser.add_argument("--config", type=json.loads, metavar="JSON", help="the configuration of the campaign")
    parser.add_argument("--command", required=True, help="command that makes the page again")
    parser.add_argument("--again", help="command that measures a block again, with the placeholder {block}")
    parser.add_argument("--baseline", default="tensorflow", help="reference of the others (default: %(default)s)")
    parser.add_argument("--question", nargs=2, metavar="FRAMEWORK", help="the two frameworks of the question")
    parser.add_argument("--archive", metavar="ZIP", help="file beside the page with the certificates")
    parser.add_argument("--output", required=True, type=Path, metavar="HTML", help="file to write, report.en.html")
    options = parser.parse_args(arguments)
    try:
        language = languages.load(options.language)
        making = Making(
            baseline=options.baseline,
            question=options.question,
            languages=[
                (name, languages.load(name)["language"], f"report.{name}.html")
                for name in options.languages or [options.language]
            ],
            config=options.config,
            command=options.command,
            published=read_csv(options.published, dtype=str, keep_default_na=False),
            citation=yaml.safe_load(options.citation.read_text(encoding="utf-8")),
            again=options.again,
            archive=options.archive,
        )
        html = page(document(read(options.results, options.language), language, making), language)
        with files.whole(options.output, encoding="utf-8") as file:
            file.write(html)
    except (ValueError, OSError, ResultsError, TableError, ModuleNotFoundError, catalogue.AdapterError) as error:
        sys.exit(f"error: {error}")
