"""Run records and tables in files: read and checked, written atomically."""

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from framebench import derived, files
from framebench.analyse import machines
from framebench.plain import plain
from framebench.record import RUN, SCHEMA

DTYPES = {"integer": "Int64", "number": "float64", "boolean": "boolean", "string": "str"}
# First characters of a cell that a spreadsheet computes: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = "=+-@"
# First bytes of spreadsheets' own files: of today's (a ZIP archive), and of those until 2007.
SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
# pandas type of a column → the form of its cells as text, and the words for a cell of another form.
NUMBER = re.compile(r"[-+]?[0-9]+\.?[0-9]*(e[-+]?[0-9]+)?"), "no number with a decimal point"
FORMS = {
    "Int64": NUMBER,
    "float64": NUMBER,
    "boolean": (re.compile("True|False"), "neither True nor False"),
    "period[M]": (re.compile("[0-9]{4}-[0-9]{2}"), "no month such as 2014-10"),
}

UNSEEN = ("Cc", "Cf", "Cs")  # Unicode's categories: control, format, surrogate


class TableError(Exception):
    """A record or table cannot be used; one line that names the file and the remedy."""


def read_record(path: Path) -> dict:
    """The run record in this file. Raises TableError where it is not one."""
    try:
        return parsed(path.read_bytes())
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TableError(
            f"{path}: {error}: it is damaged or from another version; delete it to have the run measured again"
        ) from error


def parsed(content: bytes) -> dict:
    """The run record in these bytes. Raises ValueError, in one line, where they hold none."""
    try:
        record = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(one_line(f"is not JSON: {error}", 300)) from error
    fault = best_match(_validator().iter_errors(record))
    if fault:
        raise ValueError(one_line(f"{fault.json_path}: {fault.message}", 300))
    if record["status"] == "ok" and not (record.get("images_per_s") or 0) > 0:
        raise ValueError(f"the status is ok, but images_per_s is {record.get('images_per_s')}")
    if fault := derived.contradiction(record):
        raise ValueError(fault)
    return record


def read_records(listing: Path) -> list[dict]:
    """The run records whose paths are listed in this file, one a line. Raises TableError where one cannot be read."""
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise TableError(f"{listing}: cannot be read: {error}") from error
    return [read_record(Path(line)) for line in lines if line]


def table(records: list[dict]) -> pd.DataFrame:
    """One row per record in the order of RUN; the schema's properties are the columns, in its order.

    `blocks` become `block_count` and `block_steps`, the number of blocks and of all steps in them; `warmup_intervals`
    are left out, and `flags` are joined with ";", "" where there is none. Other missing values are null.
    Raises ValueError where two records are of the same run.
    """
    rows = [_row(record) for record in records]
    frame = pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=dtype) for name, dtype in measurement_columns().items()}
    )
    twice = frame[frame.duplicated(RUN)]
    if len(twice):
        run = ", ".join(f"{name} {twice.iloc[0][name]}" for name in RUN)
        raise ValueError(f"two records are of the same run ({run}): keep one of them")
    return frame.sort_values(RUN, ignore_index=True)


def read_table(path: Path) -> pd.DataFrame:
    """The table of measurements in this CSV file, equal to the result of `table`, types and nulls included.

    A column `machine` is left out: the names of the devices contain it.

    Raises TableError where the file cannot be read or is not such a table.
    """
    columns = measurement_columns()
    frame = read_csv(path, columns, dtype=columns, keep_default_na=False, na_values=[""])
    return frame.drop(columns="machine", errors="ignore").fillna({"flags": ""})


def read_csv(
    path: Path, columns: Mapping[str, str] | None = None, *, earlier: bool = False, **options: Any
) -> pd.DataFrame:
    """The table in this CSV file, read as by pandas with these options.

    `columns`, each with its pandas type, are those that it must have, beside `machine`; `earlier`: one of an earlier
    version may have others. Raises TableError, in a short line with the cause, where it is no such table, as after a
    spreadsheet has saved it in the manner of its country.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if fault := _manner(content):
            raise ValueError(fault)
        frame = pd.read_csv(BytesIO(content), **options)
        if columns is not None and not earlier:
            _refuse_other_columns(frame, columns)
        if columns is not None and (fault := _faulty_cell(frame, columns) or _faulty_row(frame, columns)):
            raise ValueError(fault)
    except (ValueError, TypeError) as error:  # the latter for half a number in a column of whole ones
        raise TableError(f"{path}: is no table: {one_line(str(error), 90)}: make it again") from error
    return frame.copy()  # in one piece: pandas warns of a hundred separate columns


def _manner(content: bytes) -> str:
    """The manner in which a file is no CSV in UTF-8 with commas; empty if it is."""
    if content.startswith(SPREADSHEETS):
        return "it is a spreadsheet's own file, not CSV"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        return "it is UTF-16, not UTF-8"
    try:
        head = content.decode("utf-8").partition("\n")[0]
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 at byte {error.start:,}"
    other = next(
        (name for mark, name in ((";", "semicolons"), ("\t", "tabs")) if head.count(mark) > head.count(",")), ""
    )
    return f"its columns are separated by {other}, not by commas" if other else ""


def _refuse_other_columns(frame: pd.DataFrame, columns: Mapping[str, str]) -> None:
    """ValueError with the columns in which a table is not as its version of framebench writes it."""
    found = [name for name in frame.columns if name != "machine"]
    expected = [name for name in columns if name != "machine"]
    if found != expected:
        unequal = sorted(set(found) ^ set(expected)) or ["their order"]
        raise ValueError(f"its columns differ from this version's in {', '.join(unequal)}")


def _faulty_cell(frame: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """The first cell that is not of its column's type; empty if there is none."""
    for name, kind in columns.items():
        if kind in FORMS:
            form, words = FORMS[kind]
            texts = (value for value in frame.get(name, ()) if isinstance(value, str))
            if other := next((text for text in texts if not form.fullmatch(text)), None):
                return f"{other!r} in {name} is {words}"
    return ""


def _faulty_row(frame: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """The first row that no version writes, such as a sum under the table; empty if there is none."""
    if len(frame) and frame.isna().all(axis="columns").any():
        return "it has an empty row"
    texts = [name for name, kind in columns.items() if kind == "str" and name in frame]
    if texts and frame[texts].isna().all(axis="columns").any():
        return "a row has nothing but numbers"
    if list(columns) != list(measurement_columns()):
        return ""
    # A run has these in every row. A copied row would count as a round; two rows of a summary may well be the same.
    keys = [name for name in RUN if name in frame]
    if unknown := [name for name in keys if frame[name].isna().any()]:
        return f"a row has nothing in {unknown[0]}"
    return "a row is there twice" if frame.duplicated(keys).any() else ""


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV in UTF-8, atomically; nulls are empty. Raises TableError where that fails.

    Where devices are named with their machines, the first column is `machine`. A table with more than ASCII begins with
    the mark by which spreadsheets tell UTF-8 from an encoding of their country.
    """
    of = frame["device"].fillna("").map(machines.machine) if "device" in frame else pd.Series(dtype=str)
    if of.any():
        frame = frame.assign(machine=of)[["machine", *frame.columns]]
    texts = frame.select_dtypes(["str", "object"])
    safe = {name: [shown(one) if isinstance(one, str) else one for one in texts[name]] for name in map(str, texts)}
    text = frame.assign(**safe).to_csv(index=False, lineterminator="\n")
    try:
        with files.whole(path, encoding="utf-8" if text.isascii() else "utf-8-sig", newline="") as file:
            file.write(text)
    except OSError as error:
        raise TableError(f"{path}: cannot be written: {error.strerror}") from error


def flagged(measurements: pd.DataFrame, flag: str) -> pd.Series:
    """For each run, true if it has this flag."""
    return measurements["flags"].map(lambda flags: flag in str(flags).split(";"))


def one_line(text: str, length: int) -> str:
    """The text without line ends and colours, cut to this many characters."""
    line = plain(text)
    return line if len(line) <= length else f"{line[: length - 1]}…"


def shown(text: str) -> str:
    """A text from a record, safe to show: control characters and those that change the direction are escaped.

    So is a first character by which a spreadsheet computes a cell. Programs end lines in several ways, some of which
    CSV readers take for the end of the row: here all are \n, and none is at the end. Showing it again changes nothing.
    """
    lines = "\n".join(text.splitlines()).rstrip("\n")
    seen = "".join(one if one == "\n" or unicodedata.category(one) not in UNSEEN else _escaped(one) for one in lines)
    return _escaped(seen[0]) + seen[1:] if seen.startswith(tuple(FORMULA)) else seen


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 128 else character.encode("ascii", "backslashreplace").decode()


@cache
def _schema() -> dict:
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(_schema())


@cache
def measurement_columns() -> dict[str, str]:
    """The table's columns in order, each with its pandas type."""
    columns: dict[str, str] = {}
    for name, field in _schema()["properties"].items():
        if name == "blocks":
            columns |= {"block_count": "Int64", "block_steps": "Int64"}
        elif name == "flags" or "enum" in field:
            columns[name] = "str"
        elif field["type"] != "array":
            types = [field["type"]] if isinstance(field["type"], str) else field["type"]
            columns[name] = next(DTYPES[kind] for kind in types if kind != "null")
    return columns


def _row(record: dict) -> dict:
    row = {name: shown(value) if isinstance(value, str) else value for name, value in record.items()}
    row["flags"] = ";".join(record.get("flags", []))
    if "blocks" in record:
        row["block_count"] = len(record["blocks"])
        row["block_steps"] = sum(block["steps"] for block in record["blocks"])
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that JSON has")
