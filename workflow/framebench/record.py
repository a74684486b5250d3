"""The record of one run: the only file that the measuring and the analysing side share."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framebench import files

SCHEMA = Path(__file__).parents[1] / "schemas" / "record.schema.json"
BUSY = "busy_machine"  # flag: the machine had more other work than cpu.BUSY_CORES during the run
THROTTLED = "cpu_throttled"  # flag: a CPU quota held back the run for more than cpu.THROTTLED_SHARE of its timed blocks
NOT_MEASURED = "not_measured"  # status: of a record that stands for a run whose job has not ended well
STAND_IN = "stand_in"  # flag: the card was the tests' stand-in


@dataclass(frozen=True)
class Cell:
    """A cell: its fields in the order of paths and options. Cells that differ only in framework are compared.

    A field added here becomes a folder of RECORD, an option of the measuring commands and a column of the tables.
    framebench.plan.matrix defines its values, and the schema its place in a record.
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
        """The cell of a record, or of a path's wildcards, where numbers are text; KeyError for a missing field."""
        return cls(**{name: type(values[name]) for name, type in TYPES.items()})

    @property
    def block(self) -> "Block":
        return tuple(getattr(self, name) for name in BLOCK)


TYPES: dict[str, type] = Cell.__annotations__  # by field
# The runs that are compared: those with the same values of BLOCK.
Block = tuple[str | int, ...]
# First columns of the tables: the fields that two compared runs share, that name a cell, and that name a run.
BLOCK = [name for name in TYPES if name != "framework"]
CELL = [*BLOCK, "framework"]
RUN = [*CELL, "round"]
# In pandas' notation.
CELL_DTYPES = {name: {str: "str", int: "Int64"}[TYPES[name]] for name in CELL}


def record(**values: object) -> dict:
    """A record with the schema's fields in the schema's order; missing values are null or an empty list.

    Raises KeyError for a field that the schema does not have.
    """
    fields = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
    if unknown := set(values) - set(fields):
        raise KeyError(f"{SCHEMA.name} has no field {', '.join(sorted(unknown))}")
    return {name: values.get(name, [] if field.get("type") == "array" else None) for name, field in fields.items()}


def samples_path(record: Path) -> Path:
    """Path of the GPU samples of a run: in `samples` beside `runs`, under the same name as the record."""
    runs = record.parents[len(RUN) - 1]  # one folder per field except the round, as in framebench.plan.matrix
    return (runs.parent / "samples" / record.relative_to(runs)).with_suffix(".npz")


def write(path: Path, record: dict) -> None:
    """Write the record. Raises OSError where that fails, ValueError for a number that is NaN or infinite."""
    with files.whole(path, encoding="utf-8") as file:
        json.dump(record, file, indent=1, allow_nan=False)
