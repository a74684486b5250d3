"""Turns config.yaml into a usable Config, or refuses it in one line: where, what, and the allowed values."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydantic import ValidationError

from framebench.frameworks.self_comparison import AGAIN, SIDE
from framebench.measure.protocol import Protocol
from framebench.plan import catalogue, feasible, models, schema, slurm, so_far
from framebench.plan.bindings import DeviceError, Gpu, resolve
from framebench.plan.knobs import Entry, Knobs, LargestBatch, Part, Rounds, WrittenProtocol
from framebench.plan.refusals import ConfigError, explained
from framebench.plan.yaml_file import given, readable

__all__ = [
    "SCHEMA",
    "Config",
    "ConfigError",
    "LargestBatch",
    "Part",
    "Rounds",
    "against_itself",
    "given",
    "load",
    "readable",
]

SCHEMA = schema.FILE


@dataclass(frozen=True)
class Config(Knobs):
    """A usable configuration: the keys of the file, with names and words resolved for this machine."""

    devices: tuple[str, ...]
    protocol: Protocol  # type: ignore[assignment]  # with numbers in place of words, as passed to every run
    gpus: tuple[Gpu, ...]  # the cards of this machine among the devices
    requests: tuple[slurm.Request, ...]  # requests of the devices to a cluster: all of them, or none

    @property
    def on_gpus(self) -> tuple[str, ...]:
        """The devices that are GPUs, of this machine or of a cluster."""
        gpus = {gpu.name for gpu in self.gpus} | {one.name for one in self.requests if one.kind == "cuda"}
        return tuple(device for device in self.devices if device in gpus)

    @property
    def imported(self) -> bool:
        """True where the results are from another machine, and nothing is measured here."""
        return so_far.is_imported(self.results)


def load(config: Mapping[str, Any], origin: str) -> Config:
    """The checked configuration; `origin` names its source (`config.yaml + presets/quick.yaml`).

    ConfigError reports the first problem: first values that are wrong by themselves, in the order of the file, then
    values that this repository or this machine does not offer.
    """
    try:
        knobs = schema.ADAPTER.validate_python(config)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {explained(error, config)}") from None
    try:
        models.announce(knobs.models, knobs.results)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    try:
        problem = next(feasible.problems(knobs, here=not so_far.is_imported(knobs.results)), None)
    except catalogue.AdapterError as error:
        raise ConfigError(str(error)) from None
    if problem:
        raise ConfigError(f"{origin}: {problem}")
    requests = slurm.requests(knobs.bindings, knobs.protocol.timeout_s)
    try:
        devices = {} if requests else resolve(config["devices"], knobs.results)
    except DeviceError as error:
        raise ConfigError(f"{origin}: {error}") from None
    kinds = {name: "cuda" if gpu else "cpu" for name, gpu in devices.items()}
    kinds |= {request.name: request.kind for request in requests}
    impossible = chain(feasible.precision_problems(knobs, kinds), feasible.size_problems(knobs, len(kinds)))
    if problem := next(impossible, None):
        raise ConfigError(f"{origin}: {problem}")
    on_gpus = [name for name, kind in kinds.items() if kind == "cuda"]
    if on_gpus and knobs.packages == "cpu":
        raise ConfigError(
            f"{origin}: packages: 'cpu' cannot use the GPU {on_gpus[0]!r} of devices; allowed: auto, cuda"
        )
    resolved = {
        "devices": tuple(kinds),
        "protocol": _resolved(knobs.protocol, requests),
        "gpus": tuple(gpu for gpu in devices.values() if gpu),
        "requests": requests,
    }
    if knobs.packages == "auto":
        # Not by this machine's driver: a login node and a compute node need the same.
        resolved["packages"] = "cuda" if on_gpus else "cpu"
    return Config(**vars(knobs) | resolved)


def _resolved(written: WrittenProtocol, requests: Iterable[slurm.Request]) -> Protocol:
    """The protocol with numbers: every device has the same threads, `auto` one per core available on each of them."""
    threads = written.threads
    if threads == "auto":
        threads = min((request.cpus for request in requests if request.cpus), default=0) or feasible.core_count(written)
    cores = None if written.cores == "any" else written.cores
    return Protocol(**vars(written) | {"cores": cores, "threads": threads})


def against_itself(config: Config) -> Config:
    """The A/A campaign of a configuration, in a results folder of its own."""
    aa = config.aa
    sides_of = ("", f"{SIDE}{AGAIN}", f"{SIDE}{aa.more_work_every}-more")
    return dataclasses.replace(
        config,
        results=f"{config.results}/aa",
        frameworks=tuple(f"{framework}{side}" for framework in config.frameworks for side in sides_of),
        question=None,
        matrix=(
            Entry(
                workload=aa.workload,
                tracks=("default",),
                precisions=("float32",),
                inputs=("device",),
                batch_sizes=aa.batch_sizes,
                rounds=Rounds.of(aa.rounds),
            ),
        ),
    )
