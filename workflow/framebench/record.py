"""The record of one run: the only file that the measuring and the analysing side share."""

import json
from pathlib import Path

from framebench import files

SCHEMA = Path(__file__).parents[1] / "schemas" / "record.schema.json"
STAND_IN = "stand_in"  # flag of a run whose card was the tests', and no card
# What two runs have in common that are compared, and what names a run.
BLOCK = ["device", "workload", "track", "precision", "input", "batch_size"]
CELL = [*BLOCK, "framework"]
RUN = [*CELL, "round"]


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
