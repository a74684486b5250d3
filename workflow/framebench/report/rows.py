"""The rows behind every number, copied from their files, in groups that a number can link to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from framebench.analyse.tables import tables

# A page may have 5 MiB, of which charts and figures take up to 4; a longer table stays in its file beside the page.
MOST_CHARACTERS = 2**19


@dataclass(frozen=True)
class Group:
    id: str  # of its place in the page
    where: Mapping[str, str]  # its keys
    rows: list[list[str]]


@dataclass(frozen=True)
class Table:
    name: str
    columns: list[str]
    groups: list[Group]
    empty: list[str]  # columns without any value, which are left out


def fits(text: pd.DataFrame) -> bool:
    """True if a page has room for these rows."""
    return sum(int(text[column].str.len().sum()) for column in text) <= MOST_CHARACTERS


def grouped(name: str, rows: pd.DataFrame) -> Table:
    """The table of this name, from its rows as text, in groups that share the table's keys."""
    filled = (rows != "").any()
    shown = rows.loc[:, filled]
    keys = [key for key in tables()[name].keys if key in rows] if name in tables() else []
    parts = rows.groupby(keys, sort=False) if keys and len(rows) else [((), rows)]
    groups = [
        Group(
            f"{name}-{number}", dict(zip(keys, map(str, key), strict=False)), shown.loc[part.index].to_numpy().tolist()
        )
        for number, (key, part) in enumerate(parts, start=1)
    ]
    return Table(name, list(shown.columns), groups, list(filled[~filled].index))


def link(tables: Mapping[str, Table], name: str, where: Mapping[Any, Any]) -> str:
    """Link to the first row of table `name` with the values in `where`, else to the table.

    If the table is not in the page, the link is to its file beside the page.
    """
    if name not in tables:
        return f"{name}.csv"
    wanted = {str(key): str(value) for key, value in where.items()}
    for group in tables[name].groups:
        common = group.where.keys() & wanted.keys()
        if common and all(group.where[key] == wanted[key] for key in common):
            return f"#{group.id}"
    return f"#table-{name}"
