# What the rules that measure and certify are given. Numbers among `params` stand there with their option, since Snakemake
# compares params as a set of values, to which two numbers that change places are the same.
import dataclasses
import json
import shlex

from framebench import workloads
from framebench.frameworks import self_comparison
from framebench.plan import slurm
from framebench.record import CELL


def environment_of(wildcards):
    """The environment of a framework, or of the one behind a name."""
    return ENVIRONMENTS[self_comparison.base(wildcards.framework)]


def certificate_id(wildcards):
    return catalogue.certificate_id(
        wildcards.framework,
        wildcards.workload,
        environment_of(wildcards).digest,
    )


def data_of(wildcards):
    """The samples of a workload."""
    return expand(SAMPLES, kind=workloads.load(wildcards.workload).data)


def place_of(wildcards):
    """The GPU that a device is, or what a job of a cluster is to have been given; nothing for this machine's CPU."""
    if request := REQUESTS.get(wildcards.device):
        return f"--allocated {shlex.quote(request.model or slurm.CPU)}"
    gpu = DEVICES[wildcards.device]
    return f"--uuid {gpu.uuid}" if gpu else ""


def modules_of(wildcards):
    """The command that loads the environment modules of a device; nothing where it names none."""
    request = REQUESTS.get(wildcards.device)
    return slurm.load_modules(request.modules) if request else ""


def request_options(wildcards, protocol=CONFIG.protocol):
    """Options of every command that measures: the cell, as far as the rule names it, where to measure, and how."""
    environment = environment_of(wildcards)
    options = [
        f"--{name.replace('_', '-')} {wildcards[name]}"
        for name in CELL
        if name in wildcards.keys()
    ]
    options += [
        place_of(wildcards),
        f"--environment {environment.prefix} --lock-digest {environment.digest}",
        "--site" if environment.packages else "",
        f"--protocol {shlex.quote(json.dumps(dataclasses.asdict(protocol)))}",
    ]
    return " ".join(filter(None, options))


def tuning_of(wildcards):
    """The settings found for a cell of track `tuned`; nothing for one of track `default`."""
    return expand(TUNING, **wildcards) if wildcards.track == "tuned" else []


def place(wildcards):
    """The place of a run in its campaign."""
    return PLACES[wildcards.campaign][matrix.run_of(wildcards)]


def stage(name, one, every):
    """The stage of a campaign and how far it is, `[tuning 1 of 3]`; of one that is not among all, the stage alone."""
    every = list(every)
    count = f" {every.index(one) + 1} of {len(every)}" if one in every else ""
    return f"[{name}{count}]"
