"""Inside the measuring process: import, build, feed, train by the clock, and say what was seen.

Started by the supervisor as `python -P -m framebench.measure.worker REQUEST DESCRIPTOR OBSERVED PARENT`: two JSON
files, what to measure and, when all went well or an error was caught, what was seen; between them, where to say which
state is reached (see `turns`); and the process to die with.
"""

import json
import math
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

from framebench import derived, frameworks, workloads
from framebench.frameworks import self_comparison
from framebench.frameworks.contract import Adapter, Inspector, Trainer, Weights
from framebench.measure import allocator, ceiling, die_with, footprint, split
from framebench.measure.devices import cpu, cuda, nvml
from framebench.measure.pace import MoreWork, Pace, Timeline
from framebench.measure.request import Request
from framebench.measure.story import FILE, Kept
from framebench.measure.turns import BUILT, Turns
from framebench.workloads.layers import Workload, parameters

# Relative; the float32 noise of a loss is below 1e-6, and one step of the slowest workload moves it by more.
LOSS_MOVES = 1e-5
REASON_LENGTH = 300
OUTCOME = ("status", "reason")
# Cores that a run may use on a CPU for each thread that it is given: an input pipeline has threads of its own.
THREADS_USED = 1.3
LOOP = "recurrent_loop_on_gpu"  # flag of a run on a GPU whose recurrent layer was not computed by cuDNN's kernel


def main() -> None:
    die_with(int(sys.argv[4]))
    request = Request.from_json(Path(sys.argv[1]).read_text())
    turns = Turns.of_worker(int(sys.argv[2]))
    observed: dict[str, Any] = {"status": "ok", "flags": []}
    try:
        if request.host_memory_mib:
            cpu.limit_memory(request.host_memory_mib)
        observe(request, turns, observed, Path(sys.argv[3]).with_name(FILE))
    except Exception as error:
        traceback.print_exc()
        # What the C++ library says for every framework, whatever that makes of it.
        out_of_memory = isinstance(error, MemoryError) or "std::bad_alloc" in str(error)
        if "framework_version" in observed:
            out_of_memory |= frameworks.load(request.cell.framework).out_of_memory(error)
        observed["status"] = "out_of_memory" if out_of_memory else "failed"
        observed["reason"] = f"{type(error).__name__}: {' '.join(str(error).split())[:REASON_LENGTH]}"
    observed |= {"waiting_s": turns.waiting_s, "waiting_cpu_s": turns.waiting_cpu_s}
    Path(sys.argv[3]).write_text(json.dumps(observed))
    # All is told. To take everything down again costs each process of a round some seconds, and one of TensorFlow now
    # and then 20, 40 or 80.
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
    """Measure what `request` asks for and put record fields into `observed` as they become known.

    `kept`: the file for what the supervisor holds against the reference.
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
    with timed(observed, "check_s"):
        story = Kept(trainer, request, workload, weights=weights, outputs=outputs) if request.story else None
    observed |= measure(trainer, request, workload, turns, outputs=outputs, story=story)
    with timed(observed, "check_s"):
        observed |= checked(trainer, request, workload, weights=weights, first_batch=first_batch, outputs=outputs)
        if device == "cpu":
            add(observed, threads_used(request.protocol.threads, observed["cpu_cores_used"]))
    if story and story.batches_without_dropout and request.diagnosis:
        with timed(observed, "diagnosis_s"):
            look_without_dropout(story, adapter, request, workload=workload, weights=weights, device=device)
    if not request.weights_only:
        with timed(observed, "diagnosis_s"):
            add(observed, *looked_into(trainer, adapter, request, workload=workload, batch=first_batch, device=device))
    if story:
        story.save(kept)
        observed["check_s"] += story.looked_s


def add(observed: dict[str, Any], seen: Mapping[str, Any], flags: Sequence[str] = ()) -> None:
    """Put more record fields and flags into `observed`; a status that is not ok stays, as it was found first."""
    found = {name: value for name, value in seen.items() if observed["status"] == "ok" or name not in OUTCOME}
    observed |= found | {"flags": [*observed["flags"], *flags]}


def built(
    request: Request, workload: Workload, weights: Weights, observed: dict[str, Any]
) -> tuple[Adapter, Trainer, str]:
    """The framework's adapter, its trainer, and its device, `cpu` or `cuda`; what is seen goes into `observed`."""
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
    if observed["parameters"] != workload.parameters:
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
    story: Kept | None,
) -> dict[str, Any]:
    """Train, or infer, as `request` asks for; record fields on the time and the memory that it took.

    `outputs` takes what comes out of each batch in inference.
    """
    seen: dict[str, Any] = {}
    peak_mib = cpu.resident_peak_mib()
    peak_is_of_training = cpu.forget_peak()
    protocol, clock = request.protocol, cpu.UsageClock()
    synced_steps = protocol.synced_steps if request.diagnosis else 0
    pace = Pace(protocol.warmup, protocol.blocks, turns, synced_steps, clock, story=story)
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
    blocks = pace.timeline.blocks
    faults = sum(clock.minor_faults(block.t0_ns, block.t1_ns) for block in blocks)
    seen["minor_faults_per_step"] = faults / sum(block.steps for block in blocks)
    cpu_s = sum(clock.cpu_s(block.t0_ns, block.t1_ns) for block in blocks)
    seen["cpu_cores_used"] = cpu_s / seen["timed_s"]
    if not pace.timeline.warmup_converged:
        seen["flags"] = ["warmup_not_converged"]
    return seen


def checked(
    trainer: Trainer,
    request: Request,
    workload: Workload,
    *,
    weights: Weights,
    first_batch: tuple[np.ndarray, np.ndarray],
    outputs: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Record fields from what came of the run, as far as `request` lets it be looked at, and the initial weights."""
    precision = None if request.weights_only else request.cell.precision
    if not workload.trains:
        return outcome_of_inference(trainer, workload, outputs[-1], precision)
    if precision is None:
        return outcome_by_weights(trainer.weights(), weights)
    return outcome(trainer, workload, weights, first_batch, precision)


def outcome(
    trainer: Trainer,
    workload: Workload,
    weights: Weights,
    batch: tuple[np.ndarray, np.ndarray],
    precision: str,
) -> dict[str, Any]:
    """Record fields from what the trainer says after training: it must have trained, and in that precision.

    `weights` are the initial ones; the trainer's are changed.
    """
    last = finite_or_none(trainer.loss(*batch))
    trainer.load(weights)
    first = finite_or_none(trainer.loss(*batch))
    seen = {"loss_first": first, "loss_last": last} | precision_seen(trainer, workload, len(batch[0]), precision)
    if "status" not in seen and (reason := did_not_train(first, last)):
        return seen | {"status": "invalid", "reason": reason}
    return seen


def outcome_of_inference(
    trainer: Trainer, workload: Workload, output: np.ndarray, precision: str | None
) -> dict[str, Any]:
    """Record fields from what came out of the last batch, (n, size), and from the net, unless `precision` is None."""
    seen = {} if precision is None else precision_seen(trainer, workload, len(output), precision)
    if "status" not in seen and (reason := did_not_infer(output)):
        return seen | {"status": "invalid", "reason": reason}
    return seen


def looked_into(
    trainer: Trainer,
    adapter: Adapter,
    request: Request,
    *,
    workload: Workload,
    batch: tuple[np.ndarray, np.ndarray],
    device: str,
) -> tuple[dict[str, Any], list[str]]:
    """Record fields and flags from the framework's inspector; where it has none, the reason."""
    try:
        module = frameworks.inspector(request.cell.framework)
    except frameworks.NoInspectorError as error:
        return {"profile_reason": str(error)}, []
    inspector = module.Inspector(trainer)
    seen, flags = kernels_seen(inspector, batch[0], device)
    if request.diagnosis:
        if steps := request.protocol.profiled_steps:
            seen |= split.measured(trainer, module, workload, device, steps)
        seen |= ceiling.measured(inspector, adapter.out_of_memory)
        seen |= operations_counted(inspector, workload, batch)
    return seen, flags


def kernels_seen(inspector: Inspector, images: np.ndarray, device: str) -> tuple[dict[str, Any], list[str]]:
    """Record fields from what the framework runs for a batch, and flags."""
    ran = inspector.kernels(images)
    fallback = device == "cuda" and ran.get("recurrent") == "loop"
    return {"kernels": json.dumps(ran)}, [LOOP] * fallback


def look_without_dropout(
    story: Kept, adapter: Adapter, request: Request, *, workload: Workload, weights: Weights, device: str
) -> None:
    """Let the story look at the first steps of another trainer like the one that is measured, whose dropout is off."""
    cell, batches = request.cell, story.batches_without_dropout
    try:
        module = frameworks.inspector(cell.framework)
    except frameworks.NoInspectorError:
        return
    trainer = adapter.Trainer(
        *(workload, weights, cell.batch_size, request.protocol.threads, cell.precision),
        tuning=request.tuning,
        device=device,
    )
    module.Inspector(trainer).without_dropout()
    trainer.feed(*whole_batches(workload, Path(request.data), cell.batch_size, batches), cell.input)
    story.look_without_dropout(trainer)


def operations_counted(
    inspector: Inspector, workload: Workload, batch: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Record fields from the framework's own count of what a step computes: it must be what the spec says."""
    counted = inspector.counted_step_flops(*batch) if workload.trains else inspector.counted_flops(batch[0])
    if counted is None:
        return {}
    found, expected = counted / len(batch[0]), workload.flops_per_sample
    if found == expected:
        return {"counted_flops_per_sample": found}
    reason = (
        f"a step has {found:,.0f} floating-point operations a sample in the framework, and {expected:,} in the spec"
    )
    return {"counted_flops_per_sample": found, "status": "invalid", "reason": reason}


def precision_seen(trainer: Trainer, workload: Workload, batch_size: int, precision: str) -> dict[str, Any]:
    """Record fields from the numbers that the net gives: it must compute in that precision."""
    precisions = footprint.found(trainer, workload, batch_size)
    seen: dict[str, Any] = {"precision_found": footprint.described(precisions)}
    if reason := footprint.contradiction(precision, precisions):
        return seen | {"status": "failed", "reason": reason}
    return seen


def outcome_by_weights(weights: Weights, initial: Weights) -> dict[str, Any]:
    """Record fields from the weights alone: to look at the loss may need more memory than training did."""
    if not all(np.isfinite(array).all() for array in weights.values()):
        return {"status": "invalid", "reason": "a weight is not finite"}
    if all(np.array_equal(array, initial[name]) for name, array in weights.items()):
        return {"status": "invalid", "reason": "no weight has changed"}
    return {}


def whole_batches(
    workload: Workload, path: Path, batch_size: int, batches: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Samples as the workload has them and labels int64 (n,), n cut to whole batches.

    Of a number of `batches` that the samples do not fill, the first ones come again.
    """
    with np.load(path, allow_pickle=False) as data:
        samples = len(data["labels"])
        places = np.arange(batch_size * (batches or samples // batch_size)) % samples
        return workload.samples(data["samples"][places]), data["labels"][places].astype(np.int64)


def timing(timeline: Timeline, batch_size: int, workload: Workload) -> dict[str, Any]:
    """Record fields computed from what the clock saw."""
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


def finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def threads_used(threads: int, cores: float) -> dict[str, Any]:
    """Record fields of a run on a CPU that has used so many cores: it is invalid with more than its threads can use."""
    if cores <= THREADS_USED * threads:
        return {}
    return {"status": "invalid", "reason": f"{threads} threads were given, and {cores:.2f} cores were used"}


def did_not_train(first: object, last: object) -> str | None:
    """Why the run cannot have trained; None where the loss is finite and has moved.

    It need not have fallen: a short run may end on one of the jumps that momentum makes early in training.
    That the steps are the right ones is what the certificate proves.
    """
    if not isinstance(first, float) or not isinstance(last, float):
        return "the loss is not finite"
    if abs(last - first) <= LOSS_MOVES * first:
        return f"the loss did not move: {first:.6g} before, {last:.6g} after"
    return None


def did_not_infer(output: np.ndarray) -> str | None:
    """Why what came out of a batch, (n, size), cannot be of its samples; None where it can.

    That it is the right thing is what the certificate proves.
    """
    if not np.isfinite(output).all():
        return "what came out is not finite"
    if len(output) > 1 and (output == output[0]).all():
        return "the same came out of every sample"
    return None


if __name__ == "__main__":
    main()
