"""Writes the answer of a campaign in one language: `python -m framebench verdict --help`."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from framebench import files, languages, workloads
from framebench.analyse import given
from framebench.analyse.table import TableError
from framebench.answer import terminal, verdict
from framebench.answer.screen import Made, screen
from framebench.plan import catalogue

# The tables that the answer needs; for merged results also agreement.csv.
NEEDS = ("measurements", "comparisons", "effects", "overhead", "why")
SETTINGS = ("baseline", "question")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the screen and the sentences; on failure print one line and exit with status 1."""
    parser = argparse.ArgumentParser(prog="python -m framebench verdict", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--language", required=True, help=f"one of {', '.join(languages.languages())}")
    given.add_options(parser, NEEDS, SETTINGS)
    parser.add_argument("--agreement", nargs=1, type=Path, metavar="FILE", help="agreement.csv, of merged results")
    parser.add_argument("--output", required=True, type=Path, metavar="TXT", help="both as text, UTF-8")
    parser.add_argument("--screen", required=True, type=Path, metavar="JSON", help="file for the terminal's screen")
    options = parser.parse_args(arguments)
    try:
        merged = ["agreement"] if options.agreement else []
        values = given.read(options, [*NEEDS, *merged], SETTINGS, typed=False)
        workloads_of, frameworks = (set(values["measurements"][column]) for column in ("workload", "framework"))
        words: dict[str, Any] = {
            "article_batch_sizes": {name: workloads.load(name).article_batch_size for name in workloads_of},
            "language": languages.load(options.language),
            "labels": {name: catalogue.framework_label(name) for name in {*frameworks, options.baseline}},
        }
        said = verdict.sentences(**values, **words)
        tables = {name: values[name] for name in ("measurements", "comparisons", "effects", *SETTINGS)}
        shown = asdict(screen(Made(**tables, **words)))
    except (ValueError, OSError, ModuleNotFoundError, catalogue.AdapterError, TableError) as error:
        raise SystemExit(f"error: {error}") from error
    with files.whole(options.screen, encoding="utf-8") as file:
        json.dump(shown, file, ensure_ascii=False, indent=1)
    text = StringIO()
    console = Console(file=text, width=terminal.FILE_WIDTH, color_system=None, force_terminal=False)
    terminal.show(shown, console)
    console.print(f"\n{words['language']['screen_details']}\n", markup=False, highlight=False)
    terminal.listed([one.text for one in said], console)
    with files.whole(options.output, encoding="utf-8") as file:
        # A table pads its last column with blanks.
        file.writelines(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())
