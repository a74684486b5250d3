"""Refuses infeasible configurations: values that contradict each other, and missing files or cores."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path

from framebench import languages, workloads
from framebench.measure.devices import cpu
from framebench.measure.protocol import MIN_ROUNDS
from framebench.plan import catalogue, slurm
from framebench.plan.knobs import (
    AgainstItself,
    Entry,
    Images,
    Knobs,
    LargeImages,
    LargestBatch,
    Reviews,
    WrittenProtocol,
)
from framebench.plan.refusals import instead

# The folders of a record come below it, some 100 characters; file systems end at 4096, some before.
LONGEST_PATH, DEEPEST_PATH, LONGEST_NAME = 1000, 51, 255
MOST_RUNS = 10_000  # Snakemake plans three of them, one job, in 12 ms
REPEATED = re.compile(r"(.+?)\1{19,}$")  # PeriodicityDetector of Snakemake's, which stops at such a wildcard
OF_PROJECT = (
    *("workflow", "envs", "docs", "tests", "presets", "profiles", "studies"),
    *(".git", ".github", ".ci", ".venvs", ".snakemake"),
    "default",  # Snakemake would take it for a profile from then on
)
OF_SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "usr")
SHARED_MEMORY = ("/", "dev", "shm")


def problems(knobs: Knobs, here: bool) -> Iterator[str]:
    """All problems of a configuration; later checks may rely on the absence of earlier problems.

    `here`: with those of this machine, where it measures.
    """
    yield from _results_problems(knobs.results)
    yield from _name_problems(knobs)
    yield from _shared_cells(knobs.matrix)
    yield from _rounds_problems(knobs.matrix)
    yield from _aa_problems(knobs.aa, knobs.frameworks)
    entries = {f"matrix[{i}]": entry for i, entry in enumerate(knobs.matrix)} | {"aa": knobs.aa}
    for key in ("data", "reviews", "large_images") if here else ():
        data: Images | Reviews | LargeImages = getattr(knobs, key)
        fed = {name: entry for name, entry in entries.items() if workloads.load(entry.workload).data == data.kind}
        yield from _data_problems(key, data, fed)
    asked = any(map(slurm.is_request, knobs.bindings.values()))
    yield from slurm.problems(knobs.bindings, knobs.protocol)
    yield from _protocol_problems(knobs.protocol, on_this_machine=here and not asked)
    if here and knobs.largest_batch:
        yield from _largest_batch_problems(knobs.largest_batch)


def _results_problems(results: str) -> Iterator[str]:
    folder = Path(results).absolute()
    longest = max(len(os.fsencode(part)) for part in folder.parts)
    if len(str(folder)) > LONGEST_PATH or len(folder.parts) > DEEPEST_PATH or longest > LONGEST_NAME:
        yield (
            f"results: the path has {len(str(folder))} characters and {len(folder.parts) - 1} folders, one of them of "
            f"{longest} bytes; allowed: at most {LONGEST_PATH}, {DEEPEST_PATH - 1} and {LONGEST_NAME}, as records lie "
            "deeper"
        )
        return
    if repeated := REPEATED.search(results):
        yield f"results: {repeated[1]!r} stands many times in a row, which Snakemake takes for a fault of the rules"
        return
    if owner := _owner(folder):
        yield f"results: {results!r} is a folder of {owner}; allowed: results, or a folder of its own anywhere else"
        return
    existing = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not existing.is_dir():
        what = "a file" if existing.exists() else "a link to nothing"
        yield f"results: {results!r} cannot be a folder, because {str(existing)!r} is {what}"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield f"results: {results!r} cannot be written, because {str(existing)!r} is read-only for you"


def _owner(folder: Path) -> str | None:
    """The owner of a folder that cannot hold results."""
    if folder in (catalogue.ROOT, *catalogue.ROOT.parents):
        return "all of this project"
    if catalogue.ROOT in folder.parents:
        return "the project" if folder.relative_to(catalogue.ROOT).parts[0] in OF_PROJECT else None
    top = folder.parts[1]
    return "the system" if len(folder.parts) == 2 or (top in OF_SYSTEM and folder.parts[:3] != SHARED_MEMORY) else None


def _name_problems(knobs: Knobs) -> Iterator[str]:
    """Names of files of this repository, and names that must agree in two places."""
    frameworks = knobs.frameworks
    for i, framework in enumerate(frameworks):
        yield from _unknown(f"frameworks[{i}]", framework, catalogue.frameworks())
    if knobs.baseline not in frameworks:
        yield f"baseline: {knobs.baseline!r} is not among frameworks; allowed: {', '.join(frameworks)}"
    for i, framework in enumerate(knobs.question or ()):
        if framework not in frameworks:
            allowed = f"{', '.join(frameworks)}, or question: null where nothing is asked"
            yield f"question[{i}]: {framework!r} is not among frameworks; allowed: {allowed}"
    for i, entry in enumerate(knobs.matrix):
        workload = entry.workload
        yield from _unknown(f"matrix[{i}].workload", workload, catalogue.workloads())
        yield from _unbuildable(f"matrix[{i}].workload", workload, frameworks)
        for framework in frameworks:
            tracks = catalogue.adapter(framework).tracks
            for j, track in enumerate(entry.tracks):
                if track not in tracks:
                    where = f"matrix[{i}].tracks[{j}]"
                    yield f"{where}: {track!r} is not offered by {framework}{instead(track, tracks)}"
    environments = sorted({catalogue.adapter(framework).environment for framework in catalogue.frameworks()})
    for name in knobs.interpreters:
        yield from _unknown(f"interpreters.{name}", name, (*environments, *catalogue.frameworks()))
    for i, language in enumerate(knobs.languages):
        yield from _unknown(f"languages[{i}]", language, tuple(languages.languages()))


def size_problems(knobs: Knobs, devices: int) -> Iterator[str]:
    """More runs than can be planned in a minute."""
    everywhere = devices * len(knobs.frameworks)
    asked = {
        "matrix": sum(
            prod(map(len, (entry.tracks, entry.precisions, entry.inputs, entry.batch_sizes))) * entry.rounds.at_most
            for entry in knobs.matrix
        ),
        # Each framework by itself, against itself, and against itself with more work.
        "aa": 3 * len(knobs.aa.batch_sizes) * knobs.aa.rounds,
    }
    for key, runs in asked.items():
        if runs * everywhere > MOST_RUNS:
            yield f"{key}: asks for up to {runs * everywhere} runs in all rounds; allowed: at most {MOST_RUNS}"


def precision_problems(knobs: Knobs, kinds: Mapping[str, str]) -> Iterator[str]:
    """Precisions that a framework does not offer on a device; `kinds` has the kind, `cpu` or `cuda`, of every name."""
    for i, entry in enumerate(knobs.matrix):
        tuned = "tuned" in entry.tracks
        for device, kind in kinds.items():
            for j, precision in enumerate(entry.precisions):
                where = f"matrix[{i}].precisions[{j}]: {precision!r}"
                for framework in knobs.frameworks:
                    offered = catalogue.adapter(framework).precisions.get(kind, ())
                    if precision not in offered:
                        yield f"{where} is not offered by {framework} on {device}{instead(precision, offered)}"
                if tuned and precision != "float32":
                    # Its precision would be tested outside the loops and compilers of the settings.
                    yield f"{where} is not offered with track 'tuned'; allowed: float32"


def _unbuildable(where: str, workload: str, frameworks: Iterable[str]) -> Iterator[str]:
    for framework in frameworks:
        model_path = catalogue.model_path(framework, workload)
        if not (catalogue.ROOT / model_path).is_file():
            yield f"{where}: {workload!r} cannot be built in {framework}: no {model_path}"


def _shared_cells(matrix: Sequence[Entry]) -> Iterator[str]:
    seen: dict[tuple, int] = {}
    for i, entry in enumerate(matrix):
        lists = (entry.tracks, entry.precisions, entry.inputs, entry.batch_sizes)
        for cell in product([entry.workload], *lists):
            if seen.setdefault(cell, i) != i:
                *names, batch_size = cell
                shared = f"{', '.join(names)}, batch size {batch_size}"
                yield f"matrix[{i}]: {shared} is in matrix[{seen[cell]}] too; one entry may hold a cell"


def _rounds_problems(matrix: Sequence[Entry]) -> Iterator[str]:
    for i, entry in enumerate(matrix):
        rounds, where = entry.rounds, f"matrix[{i}].rounds"
        if rounds.has_rule and rounds.at_least < MIN_ROUNDS:
            yield f"{where}.at_least: {rounds.at_least} is less than the {MIN_ROUNDS} rounds that an interval needs"
        if rounds.at_most < rounds.at_least:
            yield f"{where}.at_most: {rounds.at_most} is less than at_least, {rounds.at_least}"
        elif rounds.at_most > rounds.at_least and not rounds.has_rule:
            yield f"{where}: has no rule for rounds beyond at_least; add ci_half_width or until"
        if rounds.ci_half_width is not None and rounds.until is not None:
            yield f"{where}.until: cannot be used with ci_half_width; allowed: one of the two"


def _aa_problems(aa: AgainstItself, frameworks: Iterable[str]) -> Iterator[str]:
    yield from _unknown("aa.workload", aa.workload, catalogue.workloads())
    yield from _unbuildable("aa.workload", aa.workload, frameworks)
    if aa.rounds < MIN_ROUNDS:
        yield f"aa.rounds: {aa.rounds} is less than the {MIN_ROUNDS} rounds that an interval needs"


def _data_problems(
    key: str, data: Images | Reviews | LargeImages, entries: Mapping[str, Entry | AgainstItself]
) -> Iterator[str]:
    for entry, cells in entries.items():
        for j, batch_size in enumerate(cells.batch_sizes):
            if batch_size > data.samples:
                where = f"{entry}.batch_sizes[{j}]"
                yield f"{key}.samples: {data.samples} do not fill one batch of {where}, {batch_size}"
    if data.source != "synthetic":
        if data.samples > data.held:
            yield f"{key}.samples: {data.samples} is more than the {data.held} that {data.source} holds"
        if data.archive is not None and not Path(data.archive).is_file():
            yield f"{key}.archive: {data.archive!r} is no file; give its path, or null to download it"


def _protocol_problems(protocol: WrittenProtocol, on_this_machine: bool) -> Iterator[str]:
    if on_this_machine:
        yield from _cores_problems(protocol)
    warmup = protocol.warmup
    if warmup.max_s < warmup.min_s:
        yield f"protocol.warmup.max_s: {warmup.max_s} is less than min_s, {warmup.min_s}"
    if protocol.timeout_s < protocol.shortest_s:
        sum_s = "warmup.min_s + blocks.count × blocks.min_s"
        yield f"protocol.timeout_s: {protocol.timeout_s} is less than the {protocol.shortest_s:g} s of {sum_s}"


def _cores_problems(protocol: WrittenProtocol) -> Iterator[str]:
    if protocol.cores != "any":
        for i, core in enumerate(protocol.cores):
            if core not in os.sched_getaffinity(0):
                yield f"protocol.cores[{i}]: {core} is no core that this process may use; allowed: {_usable_cores()}"
    cores = core_count(protocol)
    if protocol.threads != "auto" and protocol.threads > cores:
        whose = "cores that this process may use" if protocol.cores == "any" else "cores of protocol.cores"
        yield f"protocol.threads: {protocol.threads} is more than the {cores} {whose}; allowed: auto or 1 to {cores}"


def _largest_batch_problems(search: LargestBatch) -> Iterator[str]:
    if search.start > search.at_most:
        yield f"largest_batch.start: {search.start} is more than at_most, {search.at_most}"
    memory_mib = int(cpu.memory_total_mib())
    if (search.host_memory_mib or 0) > memory_mib:
        where = f"largest_batch.host_memory_mib: {search.host_memory_mib}"
        yield f"{where} is more than the {memory_mib} MiB of this machine, and would not keep a trial from taking all"


def _unknown(where: str, name: str, known: tuple[str, ...]) -> Iterator[str]:
    if name not in known:
        yield f"{where}: {name!r} does not exist{instead(name, known)}"


def core_count(protocol: WrittenProtocol) -> int:
    return cpu.usable_cores() if protocol.cores == "any" else len(protocol.cores)


def _usable_cores() -> str:
    """The cores that this process may use, in the kernel's notation: `0-3,8-11`."""
    found = re.search(
        r"^Cpus_allowed_list:\s*(\S+)$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found, "every Linux since 2.6 reports Cpus_allowed_list"
    return found[1]
