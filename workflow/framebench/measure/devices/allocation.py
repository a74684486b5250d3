"""The Slurm allocation of this job: its one GPU, which libcuda and NVML name by UUID, and the record's fields on it."""

import json
import os

from framebench.measure.devices import cuda, nvml

CPU = "cpu"
JOB, NODE = "SLURM_JOB_ID", "SLURMD_NODENAME"
# Prefix of variables that the job has and its measuring step has not; see workflow/rules/cluster.smk.
OF_JOB = "FRAMEBENCH_"
# Resources and place of the job besides its GPU; Slurm sets those that apply. LOADEDMODULES is Environment Modules'.
TOLD = (
    *("SLURM_CLUSTER_NAME", "SLURM_JOB_PARTITION", "SLURM_JOB_QOS", "SLURM_JOB_ACCOUNT", "SLURM_RESTART_COUNT"),
    *("SLURM_JOB_NODELIST", "SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_GPUS_ON_NODE"),
    *("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES", "LOADEDMODULES"),
)


class AllocationError(Exception):
    """The job lacks the device that it was to measure on; one line for readers of the record."""


def in_job() -> bool:
    """True on a node of a Slurm job: the shell of salloc may be on the login node, and has the job's id too."""
    return JOB in os.environ and NODE in os.environ


def facts() -> dict[str, object]:
    """Record fields on this process's Slurm job; none outside one."""
    if not in_job():
        return {}
    of_job = {name: os.environ[f"{OF_JOB}{name}"] for name in TOLD if f"{OF_JOB}{name}" in os.environ}
    told = of_job | {name: os.environ[name] for name in TOLD if name in os.environ}
    return {
        "slurm_job_id": os.environ[JOB],
        "slurm_node": os.environ[NODE],
        "slurm_allocation": json.dumps(told, sort_keys=True),
    }


def bound(asked: str) -> tuple[str | None, str | None]:
    """UUID of the device named by `--allocated`, None for a processor; and the reason if the job lacks it."""
    try:
        return _uuid(asked), None
    except AllocationError as error:
        return None, str(error)


def _uuid(asked: str) -> str | None:
    """The GPU of this job, whose name must contain the words `asked`; None where a processor is asked for.

    CUDA decides which device the job sees, by the CUDA_VISIBLE_DEVICES or the cgroup that Slurm gave it.
    """
    if not in_job():
        raise AllocationError(
            "this device is requested from a Slurm cluster, and this is no Slurm job: "
            "snakemake --profile profiles/slurm"
        )
    if asked == CPU:
        return None
    job = f"Slurm job {os.environ[JOB]} on node {os.environ[NODE]}"
    try:
        with nvml.session():
            cards = [nvml.card_of_cuda(uuid) for uuid in cuda.visible_uuids()]
    except (RuntimeError, nvml.NvmlError) as error:
        raise AllocationError(f"{job} has no GPU, and {asked} was requested: {error}") from None
    told = ", ".join(map(str, cards))
    if len(cards) != 1:
        raise AllocationError(f"{job} has {len(cards)} GPUs, and a run is of one: {told}")
    if not nvml.is_model(cards[0].name, asked):
        raise AllocationError(
            f"{job} has {told}, and {asked} was requested; where that is its name in Slurm only, say its name in "
            "nvidia-smi by the key model of this device"
        )
    return cards[0].uuid
