"""Find the largest batch that trains: doubled until memory runs out, then bisected, every trial a fresh process.

Memory ran out where the framework, or C++ beneath it, says so. A trial that ends in any other way, be it a crash, the
timeout or a kill by the kernel, tells nothing about the batch: the search ends there and has failed.

A trial has one batch of data, which lies on the device, and takes a few steps: what is found is the room that the
weights, the optimizer, the activations and the framework's workspace leave for a batch, with no data set beside it.
Images are used again where the data hold too few.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from framebench import record
from framebench.measure import die_with
from framebench.measure.devices import allocation
from framebench.measure.devices.lease import lease
from framebench.measure.supervisor import SHARED, supervise
from framebench.record import STAND_IN

RESOLUTION = 16  # the batch found is within 1/16 of the smallest that ran out of memory
# The first step allocates most; the loss scaling of float16 skips some until it has found its scale, and a trial in
# which no weight has changed is invalid.
STEPS = {
    "warmup": {"min_s": 0, "min_steps": 1, "max_s": 0, "group_s": 0, "tolerance": 1},
    "blocks": {"count": 1, "min_s": 0, "min_steps": 12},
    "synced_steps": 2,
}
# What the records of the trials say of the machine, and what a reader should know of the search.
OF_MACHINE = ("device_name", "device_uuid", "gpu_memory_total_mib", "driver_version", "framework_version", "threads")
FLAGS = (SHARED, STAND_IN)


@dataclass(frozen=True)
class Trial:
    """One run of the search; `status` and `reason` are its record's."""

    batch_size: int
    status: str
    reason: str | None = None
    allocator_peak_mib: float | None = None
    gpu_peak_delta_mib: float | None = None


@dataclass(frozen=True)
class Found:
    """What a search came to; `largest` is None where not one image trained, or the search failed.

    `bound`: `out_of_memory` where a batch at most 1/16 larger has none, `at_most` where no larger one was tried.
    """

    status: str
    reason: str | None
    largest: int | None = None
    bound: str | None = None


def search(start: int, at_most: int, run: Callable[[int], Trial]) -> tuple[Found, list[Trial]]:
    """The largest batch, between 1 and `at_most`, and the trials made in order, of which `start` is the first.

    `run` makes a trial of a batch size.
    """
    trains, too_large = 0, None
    trials: list[Trial] = []
    while batch_size := _next(trains, too_large, start, at_most):
        trial = run(batch_size)
        trials.append(trial)
        if trial.status == "ok":
            trains = batch_size
        elif trial.status == "out_of_memory":
            too_large = batch_size
        else:
            return Found(trial.status, f"batch {batch_size}: {trial.reason}"), trials
    if too_large is None:
        return Found("ok", None, trains, "at_most"), trials
    reason = next(trial.reason for trial in trials if trial.batch_size == too_large)
    if not trains:
        return Found("out_of_memory", f"batch {too_large}: {reason}"), trials
    return Found("ok", f"batch {too_large}: {reason}", trains, "out_of_memory"), trials


def _next(trains: int, too_large: int | None, start: int, at_most: int) -> int | None:
    """The batch size to try, between the largest that trains, 0 for none, and the smallest that does not."""
    if too_large is None:
        return min(2 * trains or start, at_most) if trains < at_most else None
    if too_large - trains <= max(1, trains // RESOLUTION):
        return None
    return (trains + too_large) // 2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.measure.largest", description=__doc__)
    for name in ("device", "workload", "framework", "precision"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--uuid", dest="gpu", type=lambda uuid: {"uuid": uuid}, help="of the GPU to search on")
    parser.add_argument("--allocated", metavar="MODEL", help="search on the GPU of this model that Slurm allocated")
    parser.add_argument("--host-memory-mib", type=int, help="what a trial may take; needed without a GPU")
    parser.add_argument("--start", type=int, required=True, help="batch size of the first trial")
    parser.add_argument("--at-most", type=int, required=True, help="largest batch size that is tried")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True, help="CPU threads for the framework")
    parser.add_argument("--protocol", type=json.loads, required=True, help="JSON: cores, sampler_hz, timeout_s")
    parser.add_argument("--data", type=Path, required=True, help="npz with images and labels")
    parser.add_argument("--environment", type=Path, required=True, help="prefix that this interpreter must have")
    parser.add_argument("--lock-digest", required=True)
    parser.add_argument("--site", action="store_true", help="this interpreter is the site's own")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="process to die with (default: the caller)")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON: what was found and all trials")
    arguments = parser.parse_args()
    die_with(arguments.parent)
    if not (arguments.gpu or arguments.allocated or arguments.host_memory_mib):
        parser.error("without a GPU, --host-memory-mib must keep the trials from taking all memory of the host")
    runs: list[dict] = []

    def run(batch_size: int) -> Trial:
        of_a_run = {name: value for name, value in vars(arguments).items() if name not in NOT_OF_A_RUN}
        request = (
            of_a_run
            | device
            | {
                "track": "default",
                "input": "device",
                "batch_size": batch_size,
                "batches": 1,
                "weights_only": True,
                "round": len(runs) + 1,
                "order": len(runs) + 1,
                "certificate": None,
                "tuning": {},
                "protocol": arguments.protocol | STEPS,
                "data": str(arguments.data),
                "environment": str(arguments.environment),
            }
        )
        runs.append(supervise(request, arguments.log.with_name(f"{arguments.log.stem}-batch-{batch_size}.log")))
        trial = Trial(**{field.name: runs[-1][field.name] for field in dataclasses.fields(Trial)})
        where = f"{arguments.workload} in {arguments.framework} ({arguments.precision}) on {arguments.device}"
        outcome = "trains" if trial.status == "ok" else f"{trial.status}: {trial.reason}"
        print(f"largest batch of {where}: {batch_size} {outcome}", file=sys.stderr, flush=True)
        return trial

    device = {"gpu": arguments.gpu} | allocation.bound(arguments.allocated)
    with lease(device["gpu"]["uuid"] if device["gpu"] else arguments.device):
        found, trials = search(arguments.start, arguments.at_most, run)
    identity = ("device", "workload", "framework", "precision", "host_memory_mib")
    searched = {name: getattr(arguments, name) for name in identity} | dataclasses.asdict(found)
    searched |= {"started_unix_s": runs[0]["started_unix_s"]}
    searched |= {name: next(filter(None, (run[name] for run in runs)), None) for name in OF_MACHINE}
    searched["flags"] = flags(runs)
    record.write(arguments.output, searched | {"trials": [dataclasses.asdict(trial) for trial in trials]})
    arguments.log.write_text("".join(f"{trial.batch_size}: {trial.status}: {trial.reason}\n" for trial in trials))


NOT_OF_A_RUN = ("start", "at_most", "parent", "log", "output")


def flags(runs: Iterable[dict]) -> list[str]:
    """Those of FLAGS that any of the runs has."""
    return [flag for flag in FLAGS if any(flag in run["flags"] for run in runs)]


if __name__ == "__main__":
    main()
