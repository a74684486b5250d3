"""What Slurm allocated to this job: its one GPU, which libcuda and NVML name by UUID, and what a record tells of it."""

import json
import os

from framebench.measure.devices import cuda, nvml

CPU = "cpu"
JOB, NODE = "SLURM_JOB_ID", "SLURMD_NODENAME"
# Before the name of a variable that the job has and its step that measures has not; see workflow/rules/cluster.smk.
OF_JOB = "FRAMEBENCH_"
# What the job could use beside its GPU, and where; Slurm sets those that apply. LOADEDMODULES is Environment Modules'.
TOLD = (
    *("SLURM_CLUSTER_NAME", "SLURM_JOB_PARTITION", "SLURM_JOB_QOS", "SLURM_JOB_ACCOUNT", "SLURM_RESTART_COUNT"),
    *("SLURM_JOB_NODELIST", "SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_GPUS_ON_NODE"),
    *("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES", "LOADEDMODULES"),
)


class AllocationError(Exception):
    """A job without the device that it was to measure on, in one line for who reads the record."""


def facts() -> dict[str, object]:
    """Record fields that tell of this process's Slurm job; none outside one."""
    if JOB not in os.environ:
        return {}
    of_job = {name: os.environ[f"{OF_JOB}{name}"] for name in TOLD if f"{OF_JOB}{name}" in os.environ}
    told = of_job | {name: os.environ[name] for name in TOLD if name in os.environ}
    return {
        "slurm_job_id": os.environ[JOB],
        "slurm_node": os.environ.get(NODE),
        "slurm_allocation": json.dumps(told, sort_keys=True),
    }


def bound(asked: str) -> tuple[str | None, str | None]:
    """The UUID of what `--allocated` names, None of a processor; and why the job has not got that, None if it has."""
    try:
        return _uuid(asked), None
    except AllocationError as error:
        return None, str(error)


def _uuid(asked: str) -> str | None:
    """The GPU of this job, which must have the words `asked` in its name; None where a processor is asked.

    CUDA decides what the job sees, by the CUDA_VISIBLE_DEVICES or the cgroup that Slurm gave it.
    """
    if JOB not in os.environ:
        raise AllocationError(
            "this device is asked of a Slurm cluster, and this is no Slurm job: snakemake --profile profiles/slurm"
        )
    if asked == CPU:
        return None
    job = f"Slurm job {os.environ[JOB]} on node {os.environ.get(NODE, '?')}"
    try:
        with nvml.session():
            cards = [nvml.card_of_cuda(uuid) for uuid in cuda.visible_uuids()]
    except (RuntimeError, nvml.NvmlError) as error:
        raise AllocationError(f"{job} has no GPU, and {asked} was asked for: {error}") from None
    told = ", ".join(f"{card.uuid} ({card.name})" for card in cards)
    if len(cards) != 1:
        raise AllocationError(f"{job} has {len(cards)} GPUs, and a run is of one: {told}")
    if not nvml.is_model(cards[0].name, asked):
        raise AllocationError(
            f"{job} has {told}, and {asked} was asked for; where that is its name in Slurm only, say its name in "
            "nvidia-smi by the key model of this device"
        )
    return cards[0].uuid
