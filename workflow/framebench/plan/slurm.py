"""The requests of a device in config.yaml to a Slurm cluster, in the terms of sbatch and of Snakemake's executor."""

import math
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framebench.plan.knobs import WrittenProtocol

LOCAL_KEYS = ("uuid", "model")  # keys of a device on the machine that Snakemake runs on
GPU_KEYS = ("model", "gpu_model", "gres")  # keys that choose the GPU
# Options of sbatch behind these keys; `gpu` and `gpu_model` are one, and slurm_extra is some already.
OPTIONS = {
    **{"slurm_partition": "--partition", "slurm_account": "--account", "qos": "--qos", "constraint": "--constraint"},
    **{"gres": "--gres", "cpus_per_task": "--cpus-per-task", "mem_mb": "--mem", "mem_mb_per_cpu": "--mem-per-cpu"},
    **{"runtime": "--time"},
}
# Variables by which a user chooses cluster, account and place of his jobs. Others of Slurm's commands would change the
# meaning of calls here and by the executor: another list of jobs, another request, or those of a job around Snakemake.
USERS = re.compile("SLURM_(CONF|CONF_SERVER|CLUSTERS|JWT)|SBATCH_(ACCOUNT|CONSTRAINT|PARTITION|QOS|RESERVATION|WCKEY)")
SLURMS = re.compile("(SLURM|SBATCH|SQUEUE|SCANCEL|SCONTROL|SINFO|SACCT|SRUN)_.*")
CPU = "cpu"  # a device of this name is a processor

# Values of the executor's resources that send no option; a missing one would be sent with a default of Snakemake's.
NO_CPUS, NOTHING = -1, 0

# Defaults of a run. Snakemake itself, twice in every job, takes 250 MB of the memory.
CPUS = 4
MEMORY_MB = 16_000
START_MIN = 1  # minutes for a job to start Snakemake and to measure its idle GPU


class PlaceError(Exception):
    """A campaign would be measured in the wrong place; one line for its user."""


@dataclass(frozen=True)
class Request:
    """One GPU of a cluster, or the processor of one of its nodes, behind a device's name.

    `resources` are those of a Snakemake rule; `runtime` and `mem_mb` are a single run's, in minutes and 10^6 bytes.
    """

    name: str
    kind: str  # `cuda` or `cpu`
    model: str  # words of the GPU's name; none for a processor
    cpus: int | None  # None where none are asked for
    modules: tuple[str, ...]
    resources: Mapping[str, int | str] = field(hash=False)

    def resource(self, name: str, runs: int) -> int | str | None:
        """A resource of a job of so many runs, one after another; None where it requests none."""
        value = self.resources.get(name)
        return runs * value if name == "runtime" and isinstance(value, int) else value


def is_request(binding: Mapping[str, Any]) -> bool:
    """True where a device of config.yaml is requested from a cluster, and not from this machine."""
    return bool(set(binding) - set(LOCAL_KEYS))


def problems(devices: Mapping[str, Mapping[str, Any]], protocol: WrittenProtocol) -> Iterator[str]:
    """Contradictions in devices whose keys are right by themselves; Slurm itself reports what it lacks."""
    asked = [name for name, binding in devices.items() if is_request(binding)]
    for name, binding in devices.items():
        where = f"devices.{name}"
        if "uuid" in binding and len(binding) > 1:
            other = next(key for key in binding if key != "uuid")
            yield f"{where}: uuid names one GPU of this machine, and nothing is left to choose by {other}; give one"
        if asked and name not in asked:
            yield (
                f"{where}: is on this machine, and {asked[0]!r} is requested from a cluster; "
                "measure the two with a configuration and a results folder each"
            )
        of_gpu = next((key for key in GPU_KEYS if key in binding), None)
        if name in asked and _kind(name, binding) == CPU and of_gpu:
            yield f"{where}.{of_gpu}: is a GPU's, and {name!r} is a processor; give the GPU another name and no kind"
        if name == CPU and binding.get("kind") == "gpu":
            yield f"{where}.kind: a device of the name {CPU!r} is a processor; give the GPU another name"
        if "gpu_model" in binding and "gres" in binding:
            yield f"{where}: gpu_model and gres both ask for a GPU; give one"
        if "mem_mb_per_cpu" in binding and binding.get("mem_mb"):
            yield f"{where}: mem_mb and mem_mb_per_cpu both ask for memory; give one"
        if binding.get("runtime") and 60 * binding["runtime"] < protocol.shortest_s:
            minutes = f"{where}.runtime: {binding['runtime']} minutes"
            yield f"{minutes} are less than the {protocol.shortest_s:g} s that a run takes"
        cpus = binding.get("cpus_per_task", CPUS)
        if name in asked and cpus is None and protocol.threads == "auto":
            yield f"protocol.threads: auto is as many as cpus_per_task, which is null in {where}; give a number"
        if name in asked and cpus and protocol.threads != "auto" and protocol.threads > cpus:
            yield f"protocol.threads: {protocol.threads} is more than the {cpus} cpus_per_task of {where}"
    if asked and protocol.cores != "any":
        yield f"protocol.cores: Slurm chooses the cores of {asked[0]!r} of devices; allowed: any"


def requests(devices: Mapping[str, Mapping[str, Any]], timeout_s: float) -> tuple[Request, ...]:
    """The devices requested from a cluster, from a configuration without problems.

    `timeout_s` is the longest duration of a run: by default the job gets that long, and so is never cut short.
    """
    return tuple(_request(name, binding, timeout_s) for name, binding in devices.items() if is_request(binding))


def _request(name: str, binding: Mapping[str, Any], timeout_s: float) -> Request:
    kind = _kind(name, binding)
    named = {"partition": "slurm_partition", "account": "slurm_account"}
    same = ("partition", "account", "qos", "constraint", "gpu_model", "gres", "mem_mb_per_cpu")
    extra = [f"--{key}={binding[key]}" for key in ("nodelist", "exclude") if key in binding]
    extra += ["--exclusive"] * binding.get("exclusive", False) + list(binding.get("slurm_extra", ()))
    resources: dict[str, int | str] = {named.get(key, key): binding[key] for key in same if binding.get(key)}
    cpus = binding.get("cpus_per_task", CPUS)
    resources |= {
        "cpus_per_task": cpus or NO_CPUS,
        "mem_mb": binding.get("mem_mb", NOTHING if "mem_mb_per_cpu" in binding else MEMORY_MB) or NOTHING,
        "runtime": binding.get("runtime", math.ceil(timeout_s / 60) + START_MIN) or NOTHING,
    }
    if "-" in binding.get("gpu_model", ""):
        # The executor refuses a hyphen in it, which names that Slurm gets from the driver have.
        extra.append(f"--gpus-per-node={resources.pop('gpu_model')}:1")
    elif kind != CPU and "gres" not in binding:
        resources["gpu"] = 1
    if extra:
        resources["slurm_extra"] = " ".join(map(shlex.quote, extra))
    model = "" if kind == CPU else binding.get("model", binding.get("gpu_model", name))
    return Request(name, kind, model, cpus, tuple(binding.get("modules", ())), resources)


def _kind(name: str, binding: Mapping[str, Any]) -> str:
    return CPU if name == CPU or binding.get("kind") == CPU else "cuda"


def load_modules(modules: Sequence[str]) -> str:
    """The start of a bash command that loads these environment modules; nothing for none.

    The function `module` of a login shell does not reach every /bin/sh of a job. MODULESHOME says where it is defined,
    with Lmod as with Environment Modules; both may use variables that are not set.
    """
    if not modules:
        return ""
    home = "${MODULESHOME:?is not set, so that there are no modules to load}"
    return f'set +u; source "{home}/init/bash"; module load {shlex.join(modules)}; set -u;'


def disturbing(environment: Mapping[str, str]) -> list[str]:
    """The variables among these that Slurm's commands are to be called without, by name."""
    return [name for name in environment if SLURMS.fullmatch(name) and not USERS.fullmatch(name)]


def beside_job(environment: Mapping[str, str]) -> str | None:
    """One line where this is the shell of an allocation and not on its node; None elsewhere."""
    job = environment.get("SLURM_JOB_ID")
    if not job or "SLURMD_NODENAME" in environment:
        return None
    return (
        f"measuring {platform.node()}, which is no node of Slurm job {job} as far as Slurm tells; on its node: "
        "srun --pty make run"
    )


def check_place(requests: Sequence[Request], on_cluster: bool, folder: Path) -> None:
    """PlaceError where these devices are not measured by jobs of a cluster, or where earlier jobs are left.

    Jobs that an earlier invocation left in the queue, as when its login session was closed, go on and write their
    records into `folder`; Snakemake's executor for Slurm does not know them and would submit the same runs again.
    """
    if requests and not on_cluster:
        raise PlaceError(
            f"devices: {requests[0].name!r} is requested from a Slurm cluster, and this would measure here: "
            "snakemake --profile profiles/slurm"
        )
    if on_cluster and not requests:
        raise PlaceError(
            "devices: none is requested from a Slurm cluster, as this profile would; write requests in config.yaml, "
            "such as {p100: {gpu_model: p100, partition: gpu}}, or leave out --profile profiles/slurm"
        )
    if on_cluster and (jobs := _jobs(folder)):
        raise PlaceError(
            f"{len(jobs)} jobs of an earlier invocation are in the queue and would be measured twice: wait until they "
            f"have ended, or cancel them by scancel {' '.join(jobs)}"
        )


def check_request(request: Request, runs: int) -> None:
    """PlaceError with Slurm's own message where no node can ever be given to a job of so many runs."""
    asked = {name: request.resource(name, runs) for name in request.resources}
    resources = {name: value for name, value in asked.items() if value not in (NO_CPUS, NOTHING)}
    model = f"{resources['gpu_model']}:" if "gpu_model" in resources else ""
    extra = shlex.split(str(resources.get("slurm_extra", "")))
    gpus = [f"--gpus={model}{resources['gpu']}"] if "gpu" in resources else []
    options = [f"{option}={resources[name]}" for name, option in OPTIONS.items() if name in resources]
    _answer(["sbatch", "--test-only", *options, *gpus, *extra, "--wrap=true"], f"devices.{request.name}: ")


def failure(name: str, job: str | None, said: str) -> str:
    """One line on a failed job of Snakemake: the end of Slurm's job, or sbatch's reason for refusing one.

    `said` is the executor's message, in which sbatch's own message comes before the whole call. After a call it has
    less than Slurm, which forgets ended jobs after minutes and so is to be asked at once.
    """
    if job is None:
        return f"{name}: {' '.join(said.partition('sbatch call:')[0].split())}"
    try:
        answer = _answer(["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T (%r)|%N|%k"])
    except PlaceError as error:
        return f"Slurm job {job} failed, and {error}: {name}"
    # A site's own programs may print lines besides.
    lines = [line for line in answer.splitlines() if line.count("|") >= 2]
    if not lines:
        return f"Slurm job {job} failed, and squeue knows it no more: {name}"
    ended, node, comment = lines[-1].strip().split("|", maxsplit=2)
    return f"Slurm job {job} ended as {ended}{node and f' on {node}'}: {comment}"


def _jobs(folder: Path) -> list[str]:
    """Ids of this user's jobs that work in `folder`, waiting and running."""
    # By number: not every user has a name.
    lines = _answer(["squeue", "--noheader", f"--user={os.getuid()}", "--format=%i|%Z"]).splitlines()
    jobs = [line.partition("|") for line in lines]
    return [job for job, _, where in jobs if where and Path(where).resolve() == folder.resolve()]


def _answer(command: Sequence[str], about: str = "") -> str:
    """Output of a Slurm command; PlaceError, which begins with `about`, where the command is missing or refuses."""
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=60
        ).stdout
    except FileNotFoundError:
        raise PlaceError(f"{command[0]} is not here: is this a login node of a Slurm cluster?") from None
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or str(error)
        raise PlaceError(f"{about}{command[0]} refuses: {' '.join(said.split())}") from None
