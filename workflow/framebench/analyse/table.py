"""Run records and tables in files: read and checked, written atomically."""

import json
import unicodedata
from functools import cache
from pathlib import Path

import pandas as pd
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from framebench import derived, files
from framebench.analyse import machines
from framebench.plain import plain
from framebench.record import RUN, SCHEMA

DTYPES = {"integer": "Int64", "number": "float64", "boolean": "boolean", "string": "str"}


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
        {name: pd.Series([row.get(name) for row in rows], dtype=dtype) for name, dtype in _columns().items()}
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
    columns = _columns()
    try:
        frame = pd.read_csv(
            path,
            dtype=columns,  # type: ignore[arg-type]
            keep_default_na=False,
            na_values=[""],
        )
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TableError(f"{path}: is not a table of measurements: {error}: make it again") from error
    frame = frame.drop(columns="machine", errors="ignore")
    if list(frame.columns) != list(columns):
        unequal = sorted(set(frame.columns) ^ set(columns)) or ["the order of the columns"]
        raise TableError(
            f"{path}: is not a table of measurements of this version, which differs in {', '.join(unequal)}: "
            "make it again"
        )
    return frame.fillna({"flags": ""})


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, atomically; nulls are empty. Raises TableError where that fails.

    Where devices are named with their machines, the first column is `machine`.
    """
    of = frame["device"].fillna("").map(machines.machine) if "device" in frame else pd.Series(dtype=str)
    if of.any():
        frame = frame.assign(machine=of)[["machine", *frame.columns]]
    try:
        with files.whole(path, encoding="utf-8", errors="backslashreplace", newline="") as file:
            frame.to_csv(file, index=False, lineterminator="\n")
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

    Programs end lines in several ways, some of which CSV readers take for the end of the row: here all are \n.
    """
    lines = "\n".join(text.splitlines())
    return "".join(one if one == "\n" or unicodedata.category(one) not in UNSEEN else _escaped(one) for one in lines)


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
def _columns() -> dict[str, str]:
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
