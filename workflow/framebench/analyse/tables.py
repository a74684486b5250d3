"""The tables of a campaign: each is declared, as TABLE, by the module that makes it, and listed nowhere else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path

import pandas as pd

DECLARES = "\nTABLE = "  # in the text of such a module
# Parameters from a campaign's configuration; all others are needs, which are read from files.
SETTINGS = ("confidence", "same_within", "across_cards", "question", "baseline")


def needs(make: Callable) -> list[str]:
    """The parameters of a function that are read from files: see `framebench.analyse.given`."""
    return [name for name in signature(make).parameters if name not in SETTINGS]


def settings(make: Callable) -> list[str]:
    """The SETTINGS that are parameters of a function."""
    return [name for name in SETTINGS if name in signature(make).parameters]


@dataclass(frozen=True)
class Table:
    """A table of the results, the file `<name>.csv`.

    The parameters of `make` are its needs: other tables by their names, any of `given.FILES`, and SETTINGS. `keys` are
    the columns that the rows behind one number have in common: the page links to such groups.
    """

    name: str
    make: Callable[..., pd.DataFrame]
    keys: Sequence[str] = ()
    only_merged: bool = False  # made of the results of many machines, never of a single campaign

    @property
    def module(self) -> str:
        """The module that declares the table."""
        return self.make.__module__

    @property
    def columns(self) -> Mapping[str, str] | None:
        """Its columns in order, each with its pandas type; None where the module declares none."""
        return getattr(import_module(self.module), "COLUMNS", None)

    @property
    def needs(self) -> list[str]:
        """The names of its needs."""
        return needs(self.make)

    @property
    def settings(self) -> list[str]:
        """The names of its SETTINGS."""
        return settings(self.make)


@cache
def tables() -> dict[str, Table]:
    """Every table by its name, sorted.

    Modules without one are not imported: every table and figure is made by a process that does this first, and those
    that plan a campaign bring half a second of imports.
    """
    files = [file for file in Path(__file__).parent.glob("*.py") if DECLARES in file.read_text(encoding="utf-8")]
    found = [import_module(f"{__package__}.{file.stem}").TABLE for file in files]
    return {table.name: table for table in sorted(found, key=lambda table: table.name)}


def of_campaign(*, merged: bool = False, searched: bool = False) -> list[str]:
    """The tables of one campaign, or of many merged ones; with that of the searches for the largest batch, if made."""
    return [
        name
        for name, table in tables().items()
        if (merged or not table.only_merged) and (searched or "searches" not in table.needs)
    ]
