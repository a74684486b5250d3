"""Turns config.yaml into a checked Config, or refuses it in one line: where, what, and what is allowed."""

import dataclasses
import difflib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema.protocols import Validator

from framebench import languages, workloads
from framebench.frameworks.self_comparison import AGAIN, SIDE
from framebench.measure.protocol import MIN_ROUNDS, Blocks, Protocol, Warmup
from framebench.plan import catalogue, slurm
from framebench.plan.bindings import DeviceError, Gpu, resolve

SCHEMA = catalogue.ROOT / "workflow/schemas/config.schema.yaml"

# Key of config.yaml → the kind of samples it is about, and how many the official archive holds.
DATA = {"data": ("images", 50_000), "reviews": ("reviews", 25_000), "large_images": ("large-images", 0)}


class ConfigError(Exception):
    """A configuration that is refused, in one line for the person who wrote it."""


@dataclass(frozen=True)
class Rounds:
    """How often a cell is measured: `at_least` times, and up to `at_most` where that reaches `ci_half_width`.

    The half-width is that of a ratio's interval, as a share of the ratio: 0.02 is 2 % to either side. It is
    None where a number of rounds was given, which both limits then are.
    """

    at_least: int
    at_most: int
    ci_half_width: float | None = None


@dataclass(frozen=True)
class Entry:
    """Cells of one workload: every combination of these, with every framework and device."""

    workload: str
    tracks: tuple[str, ...]
    precisions: tuple[str, ...]
    inputs: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    rounds: Rounds


@dataclass(frozen=True)
class LargestBatch:
    """The search for the largest batch that trains: batch sizes it begins with and ends at."""

    start: int
    at_most: int
    host_memory_mib: int | None  # that a trial on the CPU may take; None: none is made there

    @property
    def most_trials(self) -> int:
        """How many a search makes at most: doublings or halvings, then bisections down to 1/16."""
        return self.at_most.bit_length() + 5


@dataclass(frozen=True)
class AgainstItself:
    """The A/A campaign: cells in which every framework meets itself, and itself with more work."""

    workload: str
    batch_sizes: tuple[int, ...]
    rounds: int
    more_work_every: int  # one uncounted step after so many


@dataclass(frozen=True)
class Part:
    """The results of one campaign, a folder or an archive; without a `name`, its machine gets one from its records."""

    path: str
    name: str | None = None


@dataclass(frozen=True)
class Data:
    """What the nets are trained on."""

    source: str
    samples: int
    archive: str | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Config:
    """A configuration that can be measured."""

    results: str
    devices: tuple[str, ...]
    gpus: tuple[Gpu, ...]  # the cards of this machine among them
    requests: tuple[slurm.Request, ...]  # what they ask a cluster for: all of them, or none
    packages: str
    interpreters: tuple[tuple[str, str], ...]  # name of an environment, path of the site's interpreter
    frameworks: tuple[str, ...]
    baseline: str
    matrix: tuple[Entry, ...]
    data: Data
    reviews: Data
    large_images: Data
    protocol: Protocol
    tuning_trials: int  # runs that the search for the settings of track `tuned` may make
    largest_batch: LargestBatch
    aa: AgainstItself
    confidence: float
    across_cards: bool  # whether runs of a round that were measured on two cards of one model are compared
    languages: tuple[str, ...]
    merge: tuple[Part, ...]  # what `snakemake merge` merges

    @property
    def on_gpus(self) -> tuple[str, ...]:
        """The devices that are GPUs, of this machine or of a cluster."""
        gpus = {gpu.name for gpu in self.gpus} | {one.name for one in self.requests if one.kind == "cuda"}
        return tuple(device for device in self.devices if device in gpus)


def readable(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError where there is none or a key stands twice."""
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{path}: {where}{error.problem}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{path}: is not YAML: {error.reason} at character {error.position}") from None
    except ValueError as error:  # text that is not UTF-8, or a value such as the date 2026-02-30
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds {_shown(content)}; it must hold keys, each with a value")
    return content


def load(config: Mapping[str, Any], origin: str) -> Config:
    """The checked configuration; `origin` says where it came from (`config.yaml + presets/quick.yaml`).

    ConfigError tells the first problem: what the schema refuses, in the schema's order, then what this
    repository and this machine do not offer.
    """
    try:
        problem = next(_problems(config), None)
    except catalogue.AdapterError as error:
        raise ConfigError(str(error)) from None
    if problem:
        raise ConfigError(f"{origin}: {problem}")
    results, protocol = os.path.normpath(config["results"]), config["protocol"]
    requests = slurm.requests(_bindings(config), protocol["timeout_s"])
    try:
        devices = {} if requests else resolve(config["devices"], results)
    except DeviceError as error:
        raise ConfigError(f"{origin}: {error}") from None
    kinds = {name: "cuda" if gpu else "cpu" for name, gpu in devices.items()}
    kinds |= {request.name: request.kind for request in requests}
    if problem := next(_precision_problems(config, kinds), None):
        raise ConfigError(f"{origin}: {problem}")
    on_gpus = [name for name, kind in kinds.items() if kind == "cuda"]
    if on_gpus and config["packages"] == "cpu":
        raise ConfigError(
            f"{origin}: packages: 'cpu' cannot use the GPU {on_gpus[0]!r} of devices; allowed: auto, cuda"
        )
    # A login node and a compute node need the same: neither is asked whether it has a driver.
    packages = ("cuda" if on_gpus else "cpu") if requests and config["packages"] == "auto" else config["packages"]
    return Config(
        results=results,
        devices=tuple(kinds),
        gpus=tuple(gpu for gpu in devices.values() if gpu),
        requests=requests,
        packages=packages,
        interpreters=tuple(sorted(config["interpreters"].items())),
        frameworks=tuple(config["frameworks"]),
        baseline=config["baseline"],
        matrix=tuple(
            Entry(
                workload=entry["workload"],
                tracks=tuple(entry["tracks"]),
                precisions=tuple(entry["precisions"]),
                inputs=tuple(entry["inputs"]),
                batch_sizes=tuple(entry["batch_sizes"]),
                rounds=_rounds(entry["rounds"]),
            )
            for entry in config["matrix"]
        ),
        data=_data(config["data"]),
        reviews=_data(config["reviews"]),
        large_images=_data(config["large_images"]),
        protocol=Protocol(
            seed=protocol["seed"],
            cores=None if protocol["cores"] == "any" else tuple(protocol["cores"]),
            threads=_threads(protocol, requests),
            warmup=Warmup(**protocol["warmup"]),
            blocks=Blocks(**protocol["blocks"]),
            synced_steps=protocol["synced_steps"],
            profiled_steps=protocol["profiled_steps"],
            sampler_hz=protocol["sampler_hz"],
            other_processes=protocol["other_processes"],
            timeout_s=protocol["timeout_s"],
        ),
        tuning_trials=config["tuning"]["trials"],
        largest_batch=LargestBatch(**config["largest_batch"]),
        aa=AgainstItself(**config["aa"] | {"batch_sizes": tuple(config["aa"]["batch_sizes"])}),
        confidence=config["confidence"],
        across_cards=config["across_cards"],
        languages=tuple(config["languages"]),
        merge=tuple(
            Part(path, name)
            for one in config["merge"]
            for name, path in (one.items() if isinstance(one, dict) else [(None, one)])
        ),
    )


def _data(data: dict[str, Any]) -> Data:
    if "source" not in data:
        return Data("synthetic", data["samples"])
    return Data(**data | {"md5": data["md5"].lower()})


def against_itself(config: Config) -> Config:
    """The A/A campaign of a configuration, in a results folder of its own."""
    aa = config.aa
    sides_of = ("", f"{SIDE}{AGAIN}", f"{SIDE}{aa.more_work_every}-more")
    return dataclasses.replace(
        config,
        results=f"{config.results}/aa",
        frameworks=tuple(f"{framework}{side}" for framework in config.frameworks for side in sides_of),
        matrix=(
            Entry(
                workload=aa.workload,
                tracks=("default",),
                precisions=("float32",),
                inputs=("device",),
                batch_sizes=aa.batch_sizes,
                rounds=_rounds(aa.rounds),
            ),
        ),
    )


def _rounds(rounds: int | dict[str, Any]) -> Rounds:
    return Rounds(**rounds) if isinstance(rounds, dict) else Rounds(rounds, rounds)


def _problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Everything wrong with a configuration; what stands behind a problem may rely on its absence."""
    yield from (_explained(error) for error in _validator().iter_errors(config))
    yield from _results_problems(config["results"])
    yield from _name_problems(config)
    yield from _shared_cells(config["matrix"])
    yield from _rounds_problems(config["matrix"])
    yield from _aa_problems(config["aa"], config["frameworks"])
    for key, (kind, held) in DATA.items():
        entries = {f"matrix[{i}]": entry for i, entry in enumerate(config["matrix"])} | {"aa": config["aa"]}
        fed = {name: entry for name, entry in entries.items() if workloads.load(entry["workload"]).data == kind}
        yield from _data_problems(key, config[key], held, fed)
    asked = any(map(slurm.is_request, _bindings(config).values()))
    yield from slurm.problems(_bindings(config), config["protocol"])
    yield from _protocol_problems(config["protocol"], on_this_machine=not asked)
    yield from _largest_batch_problems(config["largest_batch"])


def _bindings(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each device is said to be; nothing where only names are given."""
    return config["devices"] if isinstance(config["devices"], dict) else {}


def _results_problems(results: str) -> Iterator[str]:
    folder = Path(results).absolute()
    existing = next(parent for parent in (folder, *folder.parents) if os.access(parent, os.F_OK))
    if not existing.is_dir():
        yield f"results: {results!r} cannot be a folder, because {str(existing)!r} is a file"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield f"results: {results!r} cannot be written, because {str(existing)!r} is read-only for you"


def _name_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Names of things that are files of this repository, or that must be the same in two places."""
    frameworks = config["frameworks"]
    for i, framework in enumerate(frameworks):
        yield from _unknown(f"frameworks[{i}]", framework, catalogue.frameworks())
    if config["baseline"] not in frameworks:
        yield f"baseline: {config['baseline']!r} is not among frameworks; allowed: {', '.join(frameworks)}"
    for i, entry in enumerate(config["matrix"]):
        workload = entry["workload"]
        yield from _unknown(f"matrix[{i}].workload", workload, catalogue.workloads())
        yield from _unbuildable(f"matrix[{i}].workload", workload, frameworks)
        for framework in frameworks:
            tracks = catalogue.adapter(framework).tracks
            for j, track in enumerate(entry["tracks"]):
                if track not in tracks:
                    where = f"matrix[{i}].tracks[{j}]"
                    yield f"{where}: {track!r} is not offered by {framework}{_instead(track, tracks)}"
    environments = sorted({catalogue.adapter(framework).environment for framework in catalogue.frameworks()})
    for name, python in config["interpreters"].items():
        yield from _unknown(f"interpreters.{name}", name, tuple(environments))
        if not os.access(python, os.X_OK) or Path(python).is_dir():
            yield f"interpreters.{name}: {python!r} is no program that can be run"
    for i, language in enumerate(config["languages"]):
        yield from _unknown(f"languages[{i}]", language, tuple(languages.languages()))


def _precision_problems(config: Mapping[str, Any], kinds: Mapping[str, str]) -> Iterator[str]:
    """What a framework does not offer on a device; `kinds` tells of each by its name whether it is `cpu` or `cuda`."""
    for i, entry in enumerate(config["matrix"]):
        tuned = "tuned" in entry["tracks"]
        for device, kind in kinds.items():
            for j, precision in enumerate(entry["precisions"]):
                where = f"matrix[{i}].precisions[{j}]: {precision!r}"
                for framework in config["frameworks"]:
                    offered = catalogue.adapter(framework).precisions.get(kind, ())
                    if precision not in offered:
                        yield f"{where} is not offered by {framework} on {device}{_instead(precision, offered)}"
                if tuned and precision != "float32":
                    # Its footprint would be seen outside the loops and compilers that settings bring in.
                    yield f"{where} is not offered with track 'tuned'; allowed: float32"


def _unbuildable(where: str, workload: str, frameworks: list[str]) -> Iterator[str]:
    for framework in frameworks:
        model_path = catalogue.model_path(framework, workload)
        if not (catalogue.ROOT / model_path).is_file():
            yield f"{where}: {workload!r} cannot be built in {framework}: no {model_path}"


def _shared_cells(matrix: list[dict[str, Any]]) -> Iterator[str]:
    seen: dict[tuple, int] = {}
    for i, entry in enumerate(matrix):
        lists = (entry[key] for key in ("tracks", "precisions", "inputs", "batch_sizes"))
        for cell in product([entry["workload"]], *lists):
            if seen.setdefault(cell, i) != i:
                *names, batch_size = cell
                shared = f"{', '.join(names)}, batch size {batch_size}"
                yield f"matrix[{i}]: {shared} stands in matrix[{seen[cell]}] too; one entry may hold a cell"


def _rounds_problems(matrix: list[dict[str, Any]]) -> Iterator[str]:
    for i, entry in enumerate(matrix):
        rounds, where = _rounds(entry["rounds"]), f"matrix[{i}].rounds"
        if rounds.ci_half_width is not None and rounds.at_least < MIN_ROUNDS:
            yield f"{where}.at_least: {rounds.at_least} is less than the {MIN_ROUNDS} rounds that an interval needs"
        if rounds.at_most < rounds.at_least:
            yield f"{where}.at_most: {rounds.at_most} is less than at_least, {rounds.at_least}"


def _aa_problems(aa: dict[str, Any], frameworks: list[str]) -> Iterator[str]:
    yield from _unknown("aa.workload", aa["workload"], catalogue.workloads())
    yield from _unbuildable("aa.workload", aa["workload"], frameworks)
    if aa["rounds"] < MIN_ROUNDS:
        yield f"aa.rounds: {aa['rounds']} is less than the {MIN_ROUNDS} rounds that an interval needs"


def _data_problems(key: str, data: dict[str, Any], held: int, entries: dict[str, dict[str, Any]]) -> Iterator[str]:
    for entry, cells in entries.items():
        for j, batch_size in enumerate(cells["batch_sizes"]):
            if batch_size > data["samples"]:
                where = f"{entry}.batch_sizes[{j}]"
                yield f"{key}.samples: {data['samples']} do not fill one batch of {where}, {batch_size}"
    if data.get("source", "synthetic") != "synthetic":
        if data["samples"] > held:
            yield f"{key}.samples: {data['samples']} is more than the {held} that {data['source']} holds"
        if data["archive"] is not None and not Path(data["archive"]).is_file():
            yield f"{key}.archive: {data['archive']!r} is no file; give its path, or null to download it"


def _protocol_problems(protocol: dict[str, Any], on_this_machine: bool) -> Iterator[str]:
    if on_this_machine:
        yield from _cores_problems(protocol)
    warmup, blocks = protocol["warmup"], protocol["blocks"]
    if warmup["max_s"] < warmup["min_s"]:
        yield f"protocol.warmup.max_s: {warmup['max_s']} is less than min_s, {warmup['min_s']}"
    shortest_s = warmup["min_s"] + blocks["count"] * blocks["min_s"]
    if protocol["timeout_s"] < shortest_s:
        sum_s = "warmup.min_s + blocks.count × blocks.min_s"
        yield f"protocol.timeout_s: {protocol['timeout_s']} is less than the {shortest_s:g} s of {sum_s}"


def _cores_problems(protocol: dict[str, Any]) -> Iterator[str]:
    if protocol["cores"] != "any":
        for i, core in enumerate(protocol["cores"]):
            if core not in os.sched_getaffinity(0):
                yield f"protocol.cores[{i}]: {core} is no core that this process may use; allowed: {_usable_cores()}"
    cores = _core_count(protocol)
    if protocol["threads"] != "auto" and protocol["threads"] > cores:
        whose = "cores that this process may use" if protocol["cores"] == "any" else "cores of protocol.cores"
        yield f"protocol.threads: {protocol['threads']} is more than the {cores} {whose}; allowed: auto or 1 to {cores}"


def _largest_batch_problems(search: dict[str, Any]) -> Iterator[str]:
    if search["start"] > search["at_most"]:
        yield f"largest_batch.start: {search['start']} is more than at_most, {search['at_most']}"
    memory_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    if (search["host_memory_mib"] or 0) > memory_mib:
        where = f"largest_batch.host_memory_mib: {search['host_memory_mib']}"
        yield f"{where} is more than the {memory_mib} MiB of this machine, and would not keep a trial from taking all"


def _unknown(where: str, name: str, known: tuple[str, ...]) -> Iterator[str]:
    if name not in known:
        yield f"{where}: {name!r} does not exist{_instead(name, known)}"


def _instead(name: object, allowed: Iterable[str]) -> str:
    """What to write instead of `name`: the nearest allowed name, if any is near, and all of them."""
    near = difflib.get_close_matches(str(name), allowed, n=1)
    return (f"; did you mean {near[0]!r}?" if near else ";") + f" allowed: {', '.join(allowed) or 'none'}"


def _threads(protocol: dict[str, Any], requests: Iterable[slurm.Request]) -> int:
    """The threads asked for, alike on every device: `auto` is one for each core that each of them has."""
    if protocol["threads"] != "auto":
        return protocol["threads"]
    return min((request.cpus for request in requests), default=0) or _core_count(protocol)


def _core_count(protocol: dict[str, Any]) -> int:
    return len(os.sched_getaffinity(0) if protocol["cores"] == "any" else protocol["cores"])


def _usable_cores() -> str:
    """The cores that this process may use as the kernel lists them: `0-3,8-11`."""
    found = re.search(r"^Cpus_allowed_list:\s*(\S+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found, "every Linux since 2.6 reports Cpus_allowed_list"
    return found[1]


def _explained(error: jsonschema.ValidationError) -> str:
    """A schema error in one line, with what the schema says is allowed."""
    where = error.json_path.removeprefix("$").removeprefix(".")
    schema: Any = error.schema
    value: Any = error.instance
    match error.validator:
        case "additionalProperties":
            key = next(key for key in value if key not in schema["properties"])
            return f"{_joined(where, key)}: unknown key{_instead(key, schema['properties'])}"
        case "required":
            key = next(key for key in schema["required"] if key not in value)
            return f"{_joined(where, key)}: is missing; {schema['properties'][key]['description']}"
        case "uniqueItems":
            return f"{where}: {_shown(value)} stands there twice"
        case "type" if isinstance(value, str):
            return f"{where}: {_shown(value)} is text, which is not allowed; {schema['allowed']}"
    return f"{where}: {_shown(value)} is not allowed; {schema['allowed']}"


def _joined(where: str, key: object) -> str:
    name = str(key) if str(key).isprintable() else repr(key)
    return f"{where}.{name}" if where else name


def _shown(value: object) -> str:
    """A value in a few words, so that its writer sees what YAML made of it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"{str(value).lower()} (in YAML also {'yes, on' if value else 'no, off'} without quotes)"
        case str():
            return repr(value if len(value) <= 80 else f"{value[:80]}…")
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a group of keys"
    return str(value)


@cache
def _validator() -> Validator:
    """The schema's validator: 32.0 is no whole number, NaN is no number, and a repeated item has an index."""
    strict = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
            ),
        }
    )
    validator = jsonschema.validators.extend(
        jsonschema.Draft202012Validator, {"uniqueItems": _repeated_items}, type_checker=strict
    )
    return validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


def _repeated_items(
    validator: Validator, unique: bool, items: object, schema: object
) -> Iterator[jsonschema.ValidationError]:
    if isinstance(items, list):
        for i, item in enumerate(items):
            if item in items[:i]:
                yield jsonschema.ValidationError("repeated", path=[i], instance=item, validator="uniqueItems")


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; this refuses the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} stands there twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)
