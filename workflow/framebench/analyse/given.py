"""Inputs of tables, figures and sentences: the file behind the name of each parameter, and its reader.

A name that is not among FILES is a table of the campaign, or one of the published numbers in workflow/resources
(`gpu_peaks` is gpu-peaks.csv).
"""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from framebench import certificate
from framebench.analyse import machines
from framebench.analyse.largest_batch import read_search
from framebench.analyse.table import TableError, read_csv, read_records, read_table
from framebench.analyse.tables import tables
from framebench.plan.catalogue import ROOT

RESOURCES = Path("workflow/resources")  # relative to the repository
# The published numbers: file → its columns, each with its pandas type.
PUBLISHED: dict[str, dict[str, str]] = {
    "gpu-peaks": {"gpu": "str", "precision": "str", "gflops": "float64", "gb_per_s": "float64", "source": "str"},
    "papers-2018": {"month": "period[M]", "framework": "str", "percent_of_papers": "float64"},
    "published-speeds": {
        **{"gpu": "str", "problem": "str", "framework": "str", "year": "Int64", "precision": "str"},
        **{"batch_size": "Int64", "images_per_s": "float64", "source": "str", "differs": "str"},
    },
    "rosetta-2018": {"framework": "str", "problem": "str", "gpu": "str", "value": "float64"},
}


def resource(name: str) -> Path:
    """The file of published numbers behind a name, relative to the repository; it need not exist."""
    return RESOURCES / f"{name.replace('_', '-')}.csv"


def table_of(name: str) -> str:
    """The table behind a name, without the end of its file: `rosetta-2018`, `measurements`."""
    return resource(name).stem if _is_resource(name) else name


def columns_of(name: str) -> Mapping[str, str] | None:
    """The columns of the table behind a name, each with its pandas type; None where they are declared nowhere."""
    return tables()[name].columns if name in tables() else PUBLISHED.get(table_of(name))


def read_rounds(path: Path) -> list[dict]:
    """The rows of rounds.json, one for each block whose number of rounds follows from a rule; TableError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: the number of first rounds is missing: {error!r}: make it again") from error


def read_certificate(path: Path) -> dict:
    """The certificate in this file, checked by `framebench.certificate`. Raises TableError where it is none."""
    try:
        return certificate.parsed(path.read_bytes(), path.parent.name, path.stem.partition(machines.AT)[0])
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: is no certificate: {error}: make it again") from error


# Name → reader of its paths, and metavar of its option. Some take several paths, or none, as noted.
FILES: dict[str, tuple[Callable[[list[Path]], Any], str]] = {
    "measurements": (lambda paths: read_table(*paths), "measurements.csv"),
    "records": (lambda paths: read_records(*paths), "plan.txt: paths of records, one a line"),
    "record": (lambda paths: paths[0], "the record of one run, with its samples beside `runs`"),
    "rounds": (lambda paths: read_rounds(*paths) if paths else [], "rounds.json, where a rule set the rounds"),
    "certificates": (lambda paths: [read_certificate(path) for path in paths], "certificates, any number of them"),
    "searches": (lambda paths: [read_search(path) for path in paths], "searches for the largest batch, any number"),
}
SEVERAL = ("rounds", "certificates", "searches")


def add_options(parser: argparse.ArgumentParser, needs: Iterable[str], settings: Iterable[str]) -> None:
    """An option for each of these needs and settings."""
    for name in needs:
        options: dict[str, Any] = {"nargs": "*", "default": []} if name in SEVERAL else {"nargs": 1, "required": True}
        told = FILES[name][1] if name in FILES else f"{name}.csv"
        if _is_resource(name):
            options = {"nargs": 1, "default": [ROOT / resource(name)]}
            told = f"(default: {resource(name)})"
        parser.add_argument(_option(name), type=Path, metavar="FILE", help=told, **options)
    for name in settings:
        if name == "across_cards":
            parser.add_argument(_option(name), action="store_true", help="compare runs on two cards of one model too")
        elif name == "confidence":
            parser.add_argument(_option(name), type=float, required=True, help="level of the intervals, such as 0.95")
        elif name == "question":
            parser.add_argument(_option(name), nargs=2, metavar="FRAMEWORK", help="the two that the question is about")
        elif name == "same_within":
            told = "margin by the kind of device, as JSON: " + '{"cpu": 0.1, "gpu": 0.03}'
            parser.add_argument(_option(name), type=json.loads, required=True, metavar="JSON", help=told)
        else:
            parser.add_argument(_option(name), required=True, help="framework to compare the others with")


def words(values: Mapping[str, Any]) -> list[str]:
    """Command-line options with these values, by name: a path, several of them, a setting, or a flag.

    None has no option.
    """
    found = []
    for name, value in values.items():
        if value is True:
            found.append(_option(name))
        elif isinstance(value, Mapping):
            found += [_option(name), json.dumps(value)]
        elif value is not False and value is not None:
            found += [_option(name), *map(str, value if isinstance(value, list | tuple) else [value])]
    return found


def read(
    options: argparse.Namespace, needs: Iterable[str], settings: Iterable[str] = (), *, typed: bool = True
) -> dict[str, Any]:
    """Read the files named by the options; by name. Raises TableError for a file that cannot be used.

    Measurements have the types of their records, or without `typed` pandas' inferred ones, which figures can draw; the
    name of a device is then unique to it.
    """
    values = {}
    for name in needs:
        paths = getattr(options, name)
        is_table = name not in FILES or (name == "measurements" and not typed)
        values[name] = read_csv(paths[0], columns_of(name)) if is_table else FILES[name][0](paths)
        if is_table and not typed:
            values[name] = machines.told_apart(values[name])
    return values | {name: getattr(options, name) for name in settings}


def _is_resource(name: str) -> bool:
    return (ROOT / resource(name)).exists()


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
