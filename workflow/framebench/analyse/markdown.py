"""Tables and generated sections of Markdown pages."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from framebench import files


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table: the first column is text, the others are aligned to the right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def write_section(path: Path, name: str, text: str) -> None:
    """Put the text between the lines `<!-- name: begin -->` and `<!-- name: end -->` of the page at `path`.

    A page that does not exist is created with that section alone. Raises ValueError where the page has no such lines,
    OSError where it cannot be read or written.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    page = path.read_text(encoding="utf-8") if path.exists() else begin + end
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{path}: has no section to replace: it needs the lines {begin.strip()} and {end.strip()}")
    with files.whole(path, encoding="utf-8") as file:
        file.write(f"{before}{begin}\n{text}\n{end}{after}")
