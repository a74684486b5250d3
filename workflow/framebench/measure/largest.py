"""Find the largest batch that trains: doubled until memory runs out, then bisected, every trial a fresh process.

Out of memory counts only where the framework, or C++ beneath it, reports it. A trial that ends in any other way, be it
a crash, the timeout or a kill by the kernel, tells nothing about the batch: the search ends there and has failed.

A trial has one batch of data, which is on the device, and takes a few steps: the result is the room that the weights,
the optimizer, the activations and the framework's workspace leave for a batch, with no data set beside it. Images are
repeated where the data hold too few.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace

from framebench import record
from framebench.measure import command
from framebench.measure import round as of_block
from framebench.measure.protocol import few_steps
from framebench.measure.supervisor import SHARED, Member
from framebench.record import STAND_IN

RESOLUTION = 16  # the batch found is within 1/16 of the smallest that ran out of memory
# Fields of the trials' records on the machine, and flags of the search.
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
    """The outcome of a search; `largest` is None where not one image trained, or the search failed.

    `bound`: `out_of_memory` where a batch at most 1/16 larger has too little, `at_most` where no larger one was tried.
    """

    status: str
    reason: str | None
    largest: int | None = None
    bound: str | None = None


def search(start: int, at_most: int, run: Callable[[int], Trial]) -> tuple[Found, list[Trial]]:
    """The largest batch, between 1 and `at_most`, and the trials in order, beginning with `start`.

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
    """The batch size to try, between the largest that trains (0 for none) and the smallest that does not."""
    if too_large is None:
        return min(2 * trains or start, at_most) if trains < at_most else None
    if too_large - trains <= max(1, trains // RESOLUTION):
        return None
    return (trains + too_large) // 2


def main() -> None:
    parser = command.parser("framebench.measure.largest", __doc__, decided=("track", "input", "batch_size"))
    command.add_interpreter(parser)
    parser.add_argument("--host-memory-mib", type=int, help="memory limit of a trial; required without a GPU")
    parser.add_argument("--start", type=int, required=True, help="batch size of the first trial")
    parser.add_argument("--at-most", type=int, required=True, help="largest batch size to try")
    arguments = parser.parse_args()
    if not (arguments.uuid or arguments.allocated or arguments.host_memory_mib):
        parser.error("without a GPU, --host-memory-mib must keep the trials from taking all memory of the host")
    runs: list[dict] = []

    def run(batch_size: int) -> Trial:
        number = len(runs) + 1
        asked = replace(request, cell=replace(request.cell, batch_size=batch_size), round=number, order=number)
        log = arguments.log.with_name(f"{arguments.log.stem}-batch-{batch_size}.log")
        runs.extend(of_block.measure([Member(asked, log)]))
        trial = Trial(**{field.name: runs[-1][field.name] for field in fields(Trial)})
        where = f"{arguments.workload} in {arguments.framework} ({arguments.precision}) on {arguments.device}"
        outcome = "trains" if trial.status == "ok" else f"{trial.status}: {trial.reason}"
        print(f"largest batch of {where}: {batch_size} {outcome}", file=sys.stderr, flush=True)
        return trial

    of_trial = {"batches": 1, "weights_only": True, "protocol": few_steps(arguments.protocol)}
    with command.leased(arguments) as told:
        request = command.request(told, track="default", input="device", batch_size=arguments.start, **of_trial)
        found, trials = search(arguments.start, arguments.at_most, run)
    identity = ("device", "workload", "framework", "precision", "host_memory_mib")
    searched = {name: getattr(arguments, name) for name in identity} | asdict(found)
    searched |= {"started_unix_s": runs[0]["started_unix_s"]}
    searched |= {name: next(filter(None, (run[name] for run in runs)), None) for name in OF_MACHINE}
    searched["flags"] = flags(runs)
    record.write(arguments.output, searched | {"trials": [asdict(trial) for trial in trials]})
    arguments.log.write_text(
        "".join(f"{trial.batch_size}: {trial.status}: {trial.reason}\n" for trial in trials), encoding="utf-8"
    )


def flags(runs: Iterable[dict]) -> list[str]:
    """The FLAGS of any of the runs."""
    return [flag for flag in FLAGS if any(flag in run["flags"] for run in runs)]


if __name__ == "__main__":
    main()
