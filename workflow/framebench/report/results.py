"""Results in a campaign's folder: tables, certificates and figures, each if present."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from framebench.analyse import given, machines, tables
from framebench.analyse.table import TableError, read_csv, table
from framebench.frameworks import self_comparison

# A page needs these; the others may be missing, for example in results of an earlier version.
NEEDED = ("measurements", "comparisons", "effects")
# Tables that a merge of many campaigns adds to those of the analysis.
OF_MERGE = ("parts", "left_out")


class ResultsError(Exception):
    """A folder of results cannot be made into a page; one line for the person who named it."""


@dataclass(frozen=True)
class Results:
    """The tables by name, each typed and as the text in its file; a missing table has no key."""

    folder: Path
    tables: Mapping[str, pd.DataFrame]
    rows: Mapping[str, pd.DataFrame]
    certificates: Mapping[tuple[str, str, str], dict]  # by workload, framework and name of the file
    figures: Mapping[str, str]  # SVG by name, in the language of the page
    captions: Mapping[str, str]  # the text under each; figures of an earlier version have none

    @property
    def measurements(self) -> pd.DataFrame:
        """The runs, with every column of this version's table: empty if these results lack it."""
        measured = self.tables["measurements"]
        whole = measured.reindex(columns=measured.columns.union(table([]).columns, sort=False))
        # The copy joins the columns, which are separate after reading: pandas warns when one is added to a hundred.
        return whole.copy()

    @property
    def missing_tables(self) -> list[str]:
        return [name for name in tables.of_campaign() if name not in self.tables]

    @property
    def missing_columns(self) -> list[str]:
        return [name for name in table([]).columns if name not in self.tables["measurements"]]


def read(folder: Path, language: str) -> Results:
    """The results in `folder`, with the figures of `language` and the certificates of measured cells.

    Raises ResultsError if a table in NEEDED is missing, or a file cannot be read.
    """
    text, typed = {}, {}
    for name in dict.fromkeys([*NEEDED, *tables.tables(), *OF_MERGE]):
        path = folder / f"{name}.csv"
        if not path.exists() and name in NEEDED:
            raise ResultsError(f"{path}: does not exist; a page needs {', '.join(f'{one}.csv' for one in NEEDED)}")
        if path.exists():
            text[name], typed[name] = _read(path)
    measured = typed["measurements"][["workload", "framework"]].drop_duplicates()
    certificates = {}
    for workload, framework in measured.itertuples(index=False):
        of, name = folder / "certificates" / workload, self_comparison.base(framework)
        for path in [*of.glob(f"{name}.json"), *of.glob(f"{name}{machines.AT}*.json")]:
            certificates[workload, framework, path.stem] = _certificate(path)
    drawn, captions = (
        {path.stem: path.read_text(encoding="utf-8") for path in sorted((folder / "figures" / language).glob(kind))}
        for kind in ("*.svg", "*.txt")
    )
    return Results(folder, typed, text, certificates, drawn, captions)


def _read(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table as text, and with its types and names of devices that tell them apart."""
    try:
        typed = read_csv(path, given.columns_of(path.stem), earlier=True)
        return read_csv(path, dtype=str, keep_default_na=False), machines.told_apart(typed)
    except TableError as error:
        raise ResultsError(str(error)) from error


def _certificate(path: Path) -> dict:
    try:
        return given.read_certificate(path)
    except TableError as error:
        raise ResultsError(str(error)) from error
