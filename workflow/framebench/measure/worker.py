"""Inside the measuring process: import, build, feed, train by the clock, and report.

The supervisor starts it as `python -P -m framebench.measure.worker REQUEST DESCRIPTOR OBSERVED PARENT`: REQUEST, a JSON
file, asks for the run; DESCRIPTOR takes the states reached (see `turns`); OBSERVED, a JSON file, is written when all
went well or an error was caught; PARENT is the process whose death ends it.
"""

import json
import os
import platform
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from framebench import derived, frameworks, usermodels, workloads
from framebench.data.batches import whole_batches
from framebench.frameworks import self_comparison
from framebench.frameworks.contract import Adapter, Trainer, Weights
from framebench.measure import allocator, checks, die_with
from framebench.measure.devices import cpu, cuda, nvml
from framebench.measure.looks import Looks
from framebench.measure.pace import MoreWork, Pace, Timeline
from framebench.measure.request import Request
from framebench.measure.story import FOLDER
from framebench.measure.turns import BUILT, Turns
from framebench.plain import plain
from framebench.workloads.layers import Workload, parameters
from framebench.workloads.own import Own

REASON_LENGTH = 300
OUTCOME = ("status", "reason")


def main() -> None:
    die_with(int(sys.argv[4]))
    request = Request.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    turns = Turns.of_worker(int(sys.argv[2]))
    observed: dict[str, Any] = {"status": "ok", "flags": []}
    try:
        if request.host_memory_mib:
            cpu.limit_memory(request.host_memory_mib)
        observe(request, turns, observed, Path(sys.argv[3]).with_name(FOLDER))
    except Exception as error:
        traceback.print_exc()
        # The C++ library's message under every framework, however that wraps it.
        out_of_memory = isinstance(error, MemoryError) or "std::bad_alloc" in str(error)
        if "framework_version" in observed:
            out_of_memory |= frameworks.load(request.cell.framework).out_of_memory(error)
        observed["status"] = "out_of_memory" if out_of_memory else "failed"
        observed["reason"] = f"{type(error).__name__}: {plain(str(error))[:REASON_LENGTH]}"
    observed |= {"waiting_s": turns.waiting_s, "waiting_cpu_s": turns.waiting_cpu_s}
    Path(sys.argv[3]).write_text(json.dumps(observed), encoding="utf-8")
    # The report is complete. A clean shutdown costs each process of a round some seconds, and one of TensorFlow now and
    # then 20, 40 or 80.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@contextmanager
def timed(observed: dict[str, Any], name: str) -> Iterator[None]:
    """Add the wall time meanwhile to the record field of this name."""
    start = time.perf_counter()
    yield
    observed[name] = observed.get(name, 0.0) + time.perf_counter() - start


def observe(request: Request, turns: Turns, observed: dict[str, Any], kept: Path) -> None:
    """Measure the requested run, and put record fields into `observed` as they become known.

    `kept`: a folder, to be made, for the arrays that the supervisor compares with the reference.
    """
    workload = workloads.load(request.cell.workload)
    weights = workload.initial_weights(request.protocol.seed)
    adapter, trainer, device = built(request, workload, weights, observed)

    with timed(observed, "data_s"):
        size = request.cell.batch_size
        images, labels = whole_batches(workload, Path(request.data), size, request.batches)
        first_batch = images[:size].copy(), labels[:size].copy()
        trainer.feed(images, labels, request.cell.input)
        del images, labels
    observed["host_rss_built_mib"] = cpu.resident_mib()

    observed["built_ns"] = time.perf_counter_ns()
    turns.wait(BUILT)
    outputs: deque[np.ndarray] = deque(maxlen=1)
    looks: Looks | None = None
    if request.story:
        with timed(observed, "check_s"):
            looks = Looks(trainer, request, workload, weights=weights, outputs=outputs, folder=kept)
    observed |= measure(trainer, request, workload, turns, outputs=outputs, looks=looks)
    with timed(observed, "check_s"):
        observed |= checks.checked(
            trainer, request, workload, weights=weights, first_batch=first_batch, outputs=outputs
        )
        if device == "cpu":
            add(observed, checks.threads_used(request.protocol.threads, observed["cpu_cores_used"]))
    if looks:
        observed["check_s"] += looks.looked_s
    if isinstance(workload, Own):
        observed["folder_digest"] = usermodels.digest(workload.folder)
    if looks and looks.batches_without_dropout and request.diagnosis:
        with timed(observed, "diagnosis_s"):
            checks.look_without_dropout(looks, adapter, request, workload=workload, weights=weights, device=device)
    if not request.weights_only:
        with timed(observed, "diagnosis_s"):
            seen = checks.looked_into(
                *(trainer, adapter, request),
                workload=workload,
                batch=first_batch,
                device=device,
                step_ms=observed["step_ms"],
            )
            add(observed, *seen)


def add(observed: dict[str, Any], seen: Mapping[str, Any], flags: Sequence[str] = ()) -> None:
    """Put more record fields and flags into `observed`; the first status that is not ok stays."""
    found = {name: value for name, value in seen.items() if observed["status"] == "ok" or name not in OUTCOME}
    observed |= found | {"flags": [*observed["flags"], *flags]}


def built(
    request: Request, workload: Workload, weights: Weights, observed: dict[str, Any]
) -> tuple[Adapter, Trainer, str]:
    """The framework's adapter, its trainer, and its device, `cpu` or `cuda`; findings go into `observed`."""
    if Path(sys.prefix).resolve() != Path(request.environment).resolve():
        raise RuntimeError(f"{request.environment}: this is not the environment of the interpreter ({sys.prefix})")
    observed |= {
        "python_version": platform.python_version(),
        "numpy_version": np.__version__,
        "environment_prefix": os.path.relpath(sys.prefix),
        "loaded_modules": os.environ.get("LOADEDMODULES"),
    }
    cell, threads, tuning = request.cell, request.protocol.threads, request.tuning
    allocator.check(tuning.get("allocator", "system"))

    with timed(observed, "import_s"):
        adapter = frameworks.load(cell.framework)
    observed["host_rss_import_mib"] = cpu.resident_mib()
    observed |= adapter.versions()
    device = cuda.device(request.uuid)

    with timed(observed, "build_s"):
        adapter.start(threads, cell.precision, device)
    if request.uuid:
        with nvml.session():
            observed["gpu_started_mib"] = nvml.used_mib(nvml.handle(request.uuid))
    with timed(observed, "build_s"):
        trainer = adapter.Trainer(
            workload, weights, cell.batch_size, threads, cell.precision, tuning=tuning, device=device
        )
    settings = trainer.settings()
    observed["settings"] = json.dumps(settings, sort_keys=True)
    if settings.get("threads", threads) != threads:
        raise ValueError(f"{threads} threads were given, and {cell.framework} computes with {settings['threads']}")
    observed["parameters"] = parameters({name: array.shape for name, array in trainer.weights().items()})
    if workload.parameters not in (None, observed["parameters"]):
        raise ValueError(
            f"{workload.name} has {workload.parameters} parameters; {cell.framework} has {observed['parameters']}"
        )
    observed["flops_per_sample"] = workload.flops_per_sample
    return adapter, trainer, device


def measure(
    trainer: Trainer,
    request: Request,
    workload: Workload,
    turns: Turns,
    *,
    outputs: deque[np.ndarray],
    looks: Looks | None,
) -> dict[str, Any]:
    """Train, or infer, as `request` asks; return record fields on time and memory.

    `outputs` collects the outputs of each batch in inference.
    """
    seen: dict[str, Any] = {}
    peak_mib = cpu.resident_peak_mib()
    peak_is_of_training = cpu.forget_peak()
    protocol, clock = request.protocol, cpu.UsageClock()
    synced_steps = protocol.synced_steps if request.diagnosis else 0
    pace = Pace(protocol.warmup, protocol.blocks, turns, synced_steps, clock, looks=looks)
    more_work_every = self_comparison.extra_step_every(request.cell.framework)
    listener = MoreWork(pace, more_work_every) if more_work_every else pace
    pace.start()
    if workload.trains:
        trainer.train(listener)
    else:
        trainer.infer(listener, outputs.append)
    seen["training_end_ns"] = time.perf_counter_ns()
    training_peak_mib = cpu.resident_peak_mib()
    seen["host_rss_peak_mib"] = max(peak_mib, training_peak_mib)
    if peak_is_of_training:
        seen["host_rss_training_peak_mib"] = training_peak_mib
    seen["allocator_peak_mib"], seen["allocator_reserved_peak_mib"] = trainer.allocator_peaks_mib()

    seen |= timing(pace.timeline, request.cell.batch_size, workload)
    seen["training_steps"] = pace.timeline.taken - pace.timeline.undone if workload.trains else None
    blocks = pace.timeline.blocks
    faults = sum(clock.minor_faults(block.t0_ns, block.t1_ns) for block in blocks)
    seen["minor_faults_per_step"] = faults / sum(block.steps for block in blocks)
    cpu_s = sum(clock.cpu_s(block.t0_ns, block.t1_ns) for block in blocks)
    seen["cpu_cores_used"] = cpu_s / seen["timed_s"]
    if not pace.timeline.warmup_converged:
        seen["flags"] = ["warmup_not_converged"]
    return seen


def timing(timeline: Timeline, batch_size: int, workload: Workload) -> dict[str, Any]:
    """Record fields computed from the clock's readings."""
    assert timeline.first, "a run that ended has had a first step"
    blocks = [vars(block) for block in timeline.blocks]
    intervals = [vars(interval) for interval in (timeline.first, *timeline.warmup)]
    synced_ms = [1e3 * interval.step_s for interval in timeline.synced]
    latency = {}
    if len(synced_ms) > 1:
        latency["step_synced_p95_ms"] = quantiles(synced_ms, n=20, method="inclusive")[-1]
    if synced_ms:
        latency["step_synced_p50_ms"] = median(synced_ms)
    return (
        latency
        | derived.of_start(intervals)
        | derived.of_blocks(blocks, batch_size, workload.flops_per_sample)
        | {
            "warmup_converged": timeline.warmup_converged,
            "warmup_intervals": intervals,
            "lead_in_s": timeline.lead_in_s,
            "diagnosis_s": sum(interval.s for interval in timeline.synced),
            "blocks": blocks,
        }
    )


if __name__ == "__main__":
    main()
