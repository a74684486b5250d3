"""The record of one run: the only file that the measuring and the analysing side share."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framebench import files

SCHEMA = Path(__file__).parents[1] / "schemas" / "record.schema.json"
BUSY = "busy_machine"  # flag of a run beside which the machine had more to do than cpu.BUSY_CORES
STAND_IN = "stand_in"  # flag of a run whose card was the tests', and no card


@dataclass(frozen=True)
class Cell:
    """A cell: its fields in the order of paths and options. The cells that differ only in framework are compared.

    A field added here is a folder of RECORD, an option of the commands that measure and a column of the tables; which
    values it takes, framebench.plan.matrix says, and that records have it, their schema.
    """

    device: str
    workload: str
    framework: str
    track: str
    precision: str
    input: str
    batch_size: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Cell":
        """The cell of a record, or of a path's wildcards, where a number is text; KeyError for a missing field."""
        return cls(**{name: type(values[name]) for name, type in TYPES.items()})

    @property
    def block(self) -> "Block":
        return tuple(getattr(self, name) for name in BLOCK)


TYPES: dict[str, type] = Cell.__annotations__  # by field
# What is compared: the values of BLOCK.
Block = tuple[str | int, ...]
# What two runs have in common that are compared, what names a cell, and a run: the first columns of the tables.
BLOCK = [name for name in TYPES if name != "framework"]
CELL = [*BLOCK, "framework"]
RUN = [*CELL, "round"]
# As pandas has them.
CELL_DTYPES = {name: {str: "str", int: "Int64"}[TYPES[name]] for name in CELL}


def record(**values: object) -> dict:
    """A record of the schema's fields in the schema's order: null, or an empty list, where no value is given.

    Raises KeyError for a field that the schema does not have.
    """
    fields = json.loads(SCHEMA.read_text())["properties"]
    if unknown := set(values) - set(fields):
        raise KeyError(f"{SCHEMA.name} has no field {', '.join(sorted(unknown))}")
    return {name: values.get(name, [] if field.get("type") == "array" else None) for name, field in fields.items()}


def samples_path(record: Path) -> Path:
    """Where the samples of a run on a GPU stand: in `samples` beside `runs`, as its record in there."""
    runs = record.parents[len(RUN) - 1]  # a folder for each but the round, as framebench.plan.matrix has it
    return (runs.parent / "samples" / record.relative_to(runs)).with_suffix(".npz")


def write(path: Path, record: dict) -> None:
    """Write the record; OSError where that cannot be, ValueError for a number that is NaN or infinite."""
    with files.whole(path) as file:
        json.dump(record, file, indent=1, allow_nan=False)
