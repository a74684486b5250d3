"""Merges the results of many machines into one folder: `python -m framebench merge --help`."""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import pandas as pd

from framebench import certificate, files
from framebench.analyse import machines
from framebench.analyse.table import TableError, one_line, parsed, write_table
from framebench.exchange import sealed
from framebench.exchange.results import ROUNDS, evidence, is_certificate, is_run
from framebench.exchange.sealed import ArchiveError
from framebench.frameworks import self_comparison
from framebench.plan import catalogue, matrix
from framebench.plan.config import Part
from framebench.plan.knobs import Input
from framebench.record import BLOCK, RUN, TYPES
from framebench.record import record as complete

PARTS = {"part": "str", "machine": "str", "runs": "Int64", "duplicates": "Int64", "left_out": "Int64"}
MOST_DIGITS = 18  # of a whole number in a table
LEFT_OUT = ("part", "file", "reason")


@dataclass
class Merged:
    """Many parts as one; every record and certificate has a device named with its machine."""

    records: list[dict] = field(default_factory=list)
    certificates: list[dict] = field(default_factory=list)  # with an extra key, `machine`
    rounds: list[dict] = field(default_factory=list)  # rows of rounds.json
    parts: list[dict] = field(default_factory=list)  # rows of PARTS
    left_out: list[dict] = field(default_factory=list)  # rows of LEFT_OUT


@dataclass(frozen=True)
class _Found:
    """A record, its place, and its content without the name of its machine."""

    record: dict
    part: str
    file: str
    digest: str


def merged(parts: Sequence[Part]) -> Merged:
    """The parts as one. Unusable files are named in `left_out`, and the rest is merged.

    A record that is in two parts, whatever their names, counts once, in the first of them. If two records of one run of
    one machine differ, we cannot tell which is right, so both are dropped. A field that a record of an earlier version
    lacks is null. Searches for tuned settings stay in their parts: a record of track `tuned` holds the chosen settings.
    """
    whole, found = Merged(), list[_Found]()
    for part in parts:
        try:
            inside = _contents(Path(part.path))
            found += _merge_part(part, inside, whole)
        except (ArchiveError, OSError, ValueError) as error:
            _leave_out(whole, part.path, "", error)
    once: dict[str, _Found] = {}
    for one in found:
        once.setdefault(one.digest, one)
    runs: dict[tuple, list[_Found]] = {}
    for one in once.values():
        runs.setdefault(tuple(one.record[key] for key in RUN), []).append(one)
    for same in runs.values():
        if len(same) == 1:
            whole.records.append(same[0].record)
        for one in same if len(same) > 1 else []:
            other = next(another for another in same if another is not one)
            _leave_out(
                whole,
                one.part,
                one.file,
                f"differs from {other.file} in {other.part}, which is of the same run of the same machine, "
                f"{machines.machine(one.record['device'])}: give the parts of two machines two names",
            )
    whole.records.sort(key=lambda record: tuple(record[key] for key in RUN))
    measured = {machines.machine(record["device"]) for record in whole.records}
    whole.certificates = [one for one in whole.certificates if one["machine"] in measured]
    counted = {id(one) for same in runs.values() if len(same) == 1 for one in same}
    for path in dict.fromkeys(part.path for part in parts):
        of_part = [one for one in found if one.part == path]
        whole.parts.append(
            {
                "part": path,
                "machine": ", ".join(dict.fromkeys(machines.machine(one.record["device"]) for one in of_part)),
                "runs": sum(id(one) in counted for one in of_part),
                "duplicates": sum(once[one.digest] is not one for one in of_part),
                "left_out": sum(row["part"] == path for row in whole.left_out),
            }
        )
    return whole


def _contents(path: Path) -> dict[str, bytes]:
    """The evidence of a part, by file."""
    inside = evidence(path) if path.is_dir() else sealed.unpacked(path)[0]
    if not any(map(is_run, inside)):
        raise ValueError("holds no records")
    return inside


def _merge_part(part: Part, inside: Mapping[str, bytes], whole: Merged) -> list[_Found]:
    """The records of a part; its certificates and rounds go into `whole`.

    Raises ValueError where its rounds make no sense: without them, intervals would be too narrow.
    """
    rounds = _rounds(inside.get(ROUNDS, b"[]"))
    records = {}
    for file in filter(is_run, inside):
        try:
            record = _record(file, inside[file])
            records[file] = record, _digest(record | {"device": machines.alone(record["device"])})
        except ValueError as error:
            _leave_out(whole, part.path, file, error)
    name = part.name or machines.name(record for record, _ in records.values())
    known = {tuple(row[key] for key in BLOCK) for row in whole.rounds}
    rounds = [row | {"device": machines.at(row["device"], name)} for row in rounds]
    whole.rounds += [row for row in rounds if tuple(row[key] for key in BLOCK) not in known]
    for file in filter(is_certificate, inside):
        try:
            found = _certificate(file, inside[file])
        except ValueError as error:
            _leave_out(whole, part.path, file, error)
        else:
            proof = {"machine": name} | found
            whole.certificates += [proof] if proof not in whole.certificates else []
    return [
        _Found(
            record | {"device": machines.at(record["device"], name)},
            part.path,
            file,
            digest,
        )
        for file, (record, digest) in records.items()
    ]


def _record(file: str, content: bytes) -> dict:
    """The whole record; ValueError where there is none, it belongs elsewhere, or a number fits no table."""
    _json(content)
    record = complete(**parsed(content))
    of = record | {"framework": self_comparison.base(record["framework"])}
    for name, values in known().items():
        if of[name] not in values:
            raise ValueError(one_line(f"{name} {of[name]!r} is not known here; known: {', '.join(values)}", 200))
    if file != matrix.RECORD.format(**record):
        raise ValueError("is the record of another run than its place says")
    return record


@cache
def known() -> dict[str, Sequence[str]]:
    """Values of a cell's fields that this version knows: tables, figures and the page have no name for others."""
    frameworks = catalogue.frameworks()
    tracks = dict.fromkeys(track for one in frameworks for track in catalogue.adapter(one).tracks)
    return {
        "framework": frameworks,
        "workload": catalogue.workloads(),
        "track": tuple(tracks),
        "input": get_args(Input),
    }


def _certificate(file: str, content: bytes) -> dict:
    """The certificate; ValueError where there is none, or it belongs elsewhere."""
    *_, workload, name = PurePosixPath(file).parts
    one = certificate.parsed(content, workload, name.removesuffix(".json").partition(machines.AT)[0])
    if file != certificate_path(one):
        raise ValueError("is the certificate of something else than its place says")
    return one


def certificate_path(one: dict) -> str:
    """Place of a certificate in a results folder: with its machine and its digest where it names a machine."""
    of = f"{machines.AT}{one['machine']}-{_digest(one)}" if "machine" in one else ""
    return f"certificates/{one['workload']}/{one['framework']}{of}.json"


def _rounds(content: bytes) -> list[dict]:
    rows = _json(content)
    needed = {*BLOCK, "rounds", "at_least", "ci_half_width"}
    if not isinstance(rows, list) or not all(isinstance(row, dict) and needed <= row.keys() for row in rows):
        raise ValueError(f"{ROUNDS}: the number of first rounds is missing")
    if not all(isinstance(row[key], TYPES[key]) for row in rows for key in BLOCK):
        raise ValueError(f"{ROUNDS} does not tell of which cells")
    return rows


def _json(content: bytes) -> Any:
    """Content of a JSON file; ValueError also where it is nested too deeply or has a number that fits no table."""
    try:
        return json.loads(content, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"holds a number of {len(digits)} digits")
    return int(digits)


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()[:12]


def _leave_out(whole: Merged, part: str, file: str, why: object) -> None:
    whole.left_out.append({"part": part, "file": file, "reason": one_line(str(why).removeprefix(f"{part}: "), 400)})


def write(whole: Merged, folder: Path) -> None:
    """Write a results folder: records, certificates, rounds.json, the plan, parts.csv and left_out.csv.

    Raises TableError where there already are records in it, and where a table cannot be written; OSError.
    """
    if any(folder.glob("runs/**/*.json")):
        raise TableError(f"{folder}: holds records already: name another folder")
    plan = []
    for path, content in _files(whole, folder):
        with files.whole(path, encoding="utf-8") as file:
            json.dump(content, file, indent=1, allow_nan=False)
        plan += [path] if is_run(path.relative_to(folder).as_posix()) else []
    for name in ("runs", "certificates"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with files.whole(folder / "plan.txt", encoding="utf-8") as file:
        file.writelines(f"{path}\n" for path in plan)
    write_table(pd.DataFrame(whole.parts, columns=list(PARTS)).astype(PARTS), folder / "parts.csv")
    write_table(pd.DataFrame(whole.left_out, columns=list(LEFT_OUT)), folder / "left_out.csv")


def _files(whole: Merged, folder: Path) -> Iterator[tuple[Path, object]]:
    for record in whole.records:
        yield folder / matrix.RECORD.format(**record), record
    for one in whole.certificates:
        yield folder / certificate_path(one), one
    yield folder / ROUNDS, whole.rounds


def files_of(parts: Iterable[Part]) -> list[str]:
    """The existing files that a merge of these parts reads; the merge itself names missing parts."""
    paths = [Path(part.path) for part in parts]
    patterns = ("runs/**/*.json", "certificates/*/*.json", "rounds.json")
    inside = sorted(file for path in paths if path.is_dir() for pattern in patterns for file in path.glob(pattern))
    return [str(path) for path in [*filter(Path.is_file, paths), *inside]]


def main(arguments: list[str] | None = None) -> None:
    """Write the folder and report what was left out; ends the process with one line on stderr where that fails."""
    parser = argparse.ArgumentParser(prog="python -m framebench merge", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--parts", required=True, type=json.loads, metavar="JSON", help="a list of {path, name}")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="results folder to make")
    options = parser.parse_args(arguments)
    try:
        whole = merged([Part(**part) for part in options.parts])
        if not whole.records:
            lines = [": ".join(filter(None, row.values())) for row in whole.left_out]
            sys.exit("\n".join(["merge in config.yaml names no results that can be merged", *lines]))
        write(whole, options.output)
    except (TableError, OSError) as error:
        sys.exit(str(error))
    for row in whole.parts:
        print(
            f"{row['part']}: {row['runs']} runs of {row['machine'] or 'no machine'}, {row['duplicates']} more that "
            f"stand in another part too, {row['left_out']} files left out",
            file=sys.stderr,
        )
