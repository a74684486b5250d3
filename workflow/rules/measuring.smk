# Helpers for the rules that measure and certify. Numeric params include their option (`--seed 1`): Snakemake compares
# params as a set, so swapping two bare numbers would go unnoticed.
import dataclasses
import json
import shlex
from functools import cache
from pathlib import Path

from framebench import usermodels, workloads
from framebench.frameworks import self_comparison
from framebench.plan import slurm
from framebench.record import CELL


@cache
def environment(framework):
    """The isolated environment of a framework, or a site's interpreter for it, which is asked here and not before."""
    packages = environments.packages(CONFIG.packages)
    found = environments.here_or_recorded(
        framework, packages, CONFIG.interpreters, RESULTS
    )
    if found.fault and workflow.dryrun:
        print(f"{' + '.join(FILES)}: {found.fault}", file=sys.stderr)
    return found


def environment_for(framework, workload):
    """The environment of a framework for a workload: that of a model with requirements of its own, or the usual one."""
    own = OWN_ENVIRONMENTS.get((framework, workload))
    return own or environment(framework)


def environment_of(wildcards):
    """The environment of a framework, or of the one behind a name, for a workload."""
    framework = self_comparison.base(wildcards.framework)
    return environment_for(framework, wildcards.workload)


def ready(some):
    """The files that exist when these environments can be used; a new one is no reason to measure again."""
    return [ancient(path) for path in sorted({one.ready for one in some if one.ready})]


def certificate_id(wildcards):
    return catalogue.certificate_id(
        wildcards.framework,
        wildcards.workload,
        environment_of(wildcards).digest,
    )


def tuned_of(wildcards):
    """The option to prove track `tuned` too: where the matrix has it, and where the certificate covers it already."""
    certificate = Path(rules.certificate.output.certificate.format(**wildcards))
    asked = (wildcards.workload, wildcards.framework) in TUNED
    covered = covers_tuned(certificate, certificate_id(wildcards))
    return "--tuned" if asked or covered else ""


def told_of_every_step(wildcards):
    """True where a call may take as many steps as the story has."""
    cell = wildcards.workload, wildcards.precision, int(wildcards.batch_size)
    return cell in MANY_STEPS_A_CALL


def digest_of(wildcards):
    """The digest of a model's folder."""
    return usermodels.digest(workloads.load(wildcards.workload).folder)


def data_of(wildcards):
    """The samples of a workload."""
    return expand(SAMPLES, kind=workloads.load(wildcards.workload).data)


def place_of(wildcards):
    """The GPU of a device, or the required allocation of a cluster's job; nothing for this machine's CPU."""
    if request := REQUESTS.get(wildcards.device):
        return f"--allocated {shlex.quote(request.model or slurm.CPU)}"
    gpu = DEVICES[wildcards.device]
    return f"--uuid {gpu.uuid}" if gpu else ""


def modules_of(wildcards):
    """The command that loads the environment modules of a device; nothing without any."""
    request = REQUESTS.get(wildcards.device)
    return slurm.load_modules(request.modules) if request else ""


def place_options(wildcards, protocol):
    """Options of every measuring command: the cell, as far as the rule names it, the device, and the protocol."""
    options = [
        f"--{name.replace('_', '-')} {wildcards[name]}"
        for name in CELL
        if name in wildcards.keys()
    ]
    modules = modules_of(wildcards)
    options += [
        place_of(wildcards),
        (
            f"--idle {shlex.quote(f'{RESULTS}/idle')}"
            if wildcards.device in CONFIG.on_gpus
            else ""
        ),
        f"--modules {shlex.quote(modules)}" if modules else "",
        f"--protocol {shlex.quote(json.dumps(dataclasses.asdict(protocol)))}",
    ]
    return " ".join(filter(None, options))


def interpreter_of(wildcards):
    """The interpreter of a framework, by the names of its options."""
    environment = environment_of(wildcards)
    return {
        "python": environment.python,
        "environment": environment.prefix,
        "lock_digest": environment.digest,
        "site": bool(environment.packages),
    }


def search_options(wildcards, protocol=CONFIG.protocol):
    """Options of a command that searches in one framework."""
    told = interpreter_of(wildcards)
    site = "--site" if told.pop("site") else ""
    words = [
        f"--{name.replace('_', '-')} {shlex.quote(value)}"
        for name, value in told.items()
    ]
    return " ".join(filter(None, [place_options(wildcards, protocol), *words, site]))


def runs_of(shape, wildcards):
    """The runs of a job, in the order of its files."""
    batch_size, round = int(wildcards.batch_size), int(wildcards.round)
    return shape.runs(wildcards.device, batch_size, round)


def member_options(shape, wildcards):
    """JSON with each run of a job, for its command."""
    told = []
    for run in runs_of(shape, wildcards):
        one = vars(run.cell)
        found = {"tuning": TUNING.format(**one)} if run.cell.track == "tuned" else {}
        told.append(
            {"framework": one["framework"], "track": one["track"]}
            | interpreter_of(run.cell)
            | {"certificate": certificate_id(run.cell)}
            | found
        )
    return json.dumps(told)


def inputs_of(shape, wildcards):
    """The environments, settings and samples that a job needs."""
    measured = [run.cell for run in runs_of(shape, wildcards)]
    return {
        "environments": ready(map(environment_of, measured)),
        "data": data_of(measured[0]),
        "story": STORY.format(**vars(measured[0])),
        "tuning": [
            TUNING.format(**vars(cell)) for cell in measured if cell.track == "tuned"
        ],
    }


def places(campaign, shape, wildcards):
    """The place in its campaign of each run of a job."""
    return [PLACES[campaign][run] for run in runs_of(shape, wildcards)]


def stage(name, one, every):
    """The stage of a campaign and its progress, `[tuning 1 of 3]`; the stage alone for a file that is not among all."""
    every = list(every)  # Snakemake's input in a rule has no `index`
    count = f" {every.index(one) + 1} of {len(every)}" if one in every else ""
    return f"[{name}{count}]"
