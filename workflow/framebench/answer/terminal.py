"""The answer's screen on a terminal: as wide as the terminal, in the frameworks' colours. A file gets no colours."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from framebench.plan import catalogue

FILE_WIDTH = 100


def show(screen: Mapping[str, Any], console: Console) -> None:
    """Print a screen, given as the values of `dataclasses.asdict`. Its words are text, never markup."""
    console.print(Text(screen["question"]))
    for sentence in screen["headline"]:
        console.print(Text(sentence, style="bold"))
    console.print()
    console.print(Text(screen["ratio"], style="dim"))
    console.print(_table(screen))
    if screen["left_out"]:
        console.print(Text(screen["left_out"], style="dim"))
    console.print()
    for note in screen["notes"]:
        console.print(Text.assemble((note["title"], "bold"), " ", note["text"]))
    for warning in screen["warnings"]:
        console.print(Text(warning, style="yellow"))


def end(folder: Path, language: str, lines: Iterable[str], *, started: float | None = None, missing: str = "") -> None:
    """Print the screen of a folder of results on stderr, these lines, and the paths of the rest.

    Without a screen, only the line on `missing` runs is printed. `started`: Unix time in s of an invocation in which a
    job failed; a screen from before that is called an earlier answer.
    """
    answer = folder / f"verdict.{language}"
    screen = answer.with_name(f"{answer.name}.json")
    console = Console(stderr=True)
    left = [Text(missing, style="bold red")] if missing else []
    if not screen.exists():
        for line in left:
            console.print(line, soft_wrap=True)
        return
    console.print()
    made = screen.stat().st_mtime
    if started is not None and made < started:
        when = f"{datetime.fromtimestamp(made):%Y-%m-%d %H:%M}"
        console.print(Text(f"A job failed, so this is the answer of an earlier invocation, {when}:", style="bold red"))
    show(json.loads(screen.read_text(encoding="utf-8")), console)
    paths = f"Page: {folder}/report.{language}.html   Details: {answer}.txt   Figures: {folder}/figures/"
    for line in (*left, *map(Text, (*lines, paths))):
        console.print(line, soft_wrap=True)  # paths are copied


def listed(sentences: Sequence[str], console: Console) -> None:
    """Print sentences as a list, with the lines of each indented under its mark."""
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(overflow="fold")
    for sentence in sentences:
        table.add_row("-", Text(sentence, overflow="fold"))
    console.print(table)


def _table(screen: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("", "", screen["interval"], ""):
        table.add_column(Text(title), overflow="fold")
    for group in screen["groups"]:
        table.add_row(Text(group["title"], style="dim"))
        for row in group["rows"]:
            style = f"bold {catalogue.colour(row['winner']) or ''}" if row["winner"] else ""
            ratio, interval = row["numbers"]
            words = Text(row["says"], style=style)
            table.add_row(Text(f"  {row['name']}"), Text(ratio, style="bold"), Text(interval), words)
    return table
