"""Inside the measuring process: import, build, feed, train by the clock, and say what was seen.

Started by the supervisor as `python -P -m framebench.measure.worker REQUEST OBSERVED PARENT`: two JSON files,
what to measure and, when all went well or an error was caught, what was seen; and the process to die with.
"""

import json
import math
import os
import platform
import sys
import time
import traceback
from pathlib import Path
from statistics import median, quantiles

import numpy as np

from framebench import frameworks, workloads
from framebench.measure import die_with
from framebench.measure.devices import cpu
from framebench.measure.pace import Pace, Timeline
from framebench.protocol import Blocks, Warmup
from framebench.workloads.layers import Workload

# Relative; the float32 noise of a loss is below 1e-6, and one step of the slowest workload moves it by more.
LOSS_MOVES = 1e-5
REASON_LENGTH = 300


def main() -> None:
    die_with(int(sys.argv[3]))
    request = json.loads(Path(sys.argv[1]).read_text())
    observed: dict[str, object] = {"status": "ok", "flags": []}
    try:
        observe(request, observed)
    except Exception as error:
        traceback.print_exc()
        out_of_memory = isinstance(error, MemoryError)
        if "framework_version" in observed:
            out_of_memory = frameworks.load(request["framework"]).out_of_memory(error)
        observed["status"] = "out_of_memory" if out_of_memory else "failed"
        observed["reason"] = f"{type(error).__name__}: {' '.join(str(error).split())[:REASON_LENGTH]}"
    Path(sys.argv[2]).write_text(json.dumps(observed))


def observe(request: dict, observed: dict[str, object]) -> None:
    """Measure what `request` asks for and put record fields into `observed` as they become known."""
    observed |= {
        "python_version": platform.python_version(),
        "numpy_version": np.__version__,
        "environment_prefix": os.path.relpath(sys.prefix),
    }
    workload = workloads.load(request["workload"])
    batch_size = request["batch_size"]

    start = time.perf_counter()
    adapter = frameworks.load(request["framework"])
    observed["import_s"] = time.perf_counter() - start
    observed["host_rss_import_mib"] = cpu.resident_mib()
    observed |= adapter.versions()

    weights = workload.initial_weights(request["seed"])
    start = time.perf_counter()
    trainer = adapter.Trainer(workload, weights, batch_size, request["threads"], request["precision"])
    observed["build_s"] = time.perf_counter() - start
    observed["settings"] = json.dumps(trainer.settings(), sort_keys=True)
    observed["parameters"] = sum(array.size for array in trainer.weights().values())
    if observed["parameters"] != workload.parameters:
        raise ValueError(
            f"{workload.name} has {workload.parameters} parameters; {request['framework']} has {observed['parameters']}"
        )
    observed["flops_per_sample"] = workload.flops_per_sample

    images, labels = whole_batches(Path(request["data"]), batch_size)
    first_batch = images[:batch_size].copy(), labels[:batch_size].copy()
    trainer.feed(images, labels, request["input"])
    del images, labels
    observed["host_rss_built_mib"] = cpu.resident_mib()

    peak_mib = cpu.resident_peak_mib()
    peak_is_of_training = cpu.forget_peak()
    protocol = request["protocol"]
    pace = Pace(Warmup(**protocol["warmup"]), Blocks(**protocol["blocks"]), protocol["synced_steps"])
    pace.start()
    trainer.train(pace)
    training_peak_mib = cpu.resident_peak_mib()
    observed["host_rss_peak_mib"] = max(peak_mib, training_peak_mib)
    if peak_is_of_training:
        observed["host_rss_training_peak_mib"] = training_peak_mib

    observed |= timing(pace.timeline, batch_size, workload)
    if not pace.timeline.warmup_converged:
        observed["flags"] = ["warmup_not_converged"]

    observed["loss_last"] = finite_or_none(trainer.loss(*first_batch))
    trainer.load(weights)
    observed["loss_first"] = finite_or_none(trainer.loss(*first_batch))
    if reason := did_not_train(observed["loss_first"], observed["loss_last"]):
        observed |= {"status": "invalid", "reason": reason}


def whole_batches(path: Path, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 (n, height, width, channels) in [0, 1] and labels int64 (n,), n cut to whole batches."""
    with np.load(path, allow_pickle=False) as data:
        count = len(data["labels"]) // batch_size * batch_size
        images = data["images"][:count].astype(np.float32)
        labels = data["labels"][:count].astype(np.int64)
    images /= 255
    return images, labels


def timing(timeline: Timeline, batch_size: int, workload: Workload) -> dict[str, object]:
    """Record fields computed from what the clock saw."""
    assert timeline.first, "a run that ended has had a first step"
    speeds = [batch_size / block.step_s for block in timeline.blocks]
    images_per_s = median(speeds)
    synced_ms = [1e3 * interval.s for interval in timeline.synced]
    return {
        "time_to_first_step_s": timeline.first.s,
        "warmup_s": sum(group.s for group in timeline.warmup),
        "warmup_steps": sum(group.steps for group in timeline.warmup),
        "warmup_converged": timeline.warmup_converged,
        "blocks": [vars(block) for block in timeline.blocks],
        "images_per_s": images_per_s,
        "images_per_s_mad": median(abs(speed - images_per_s) for speed in speeds),
        "step_ms": 1e3 * median(block.step_s for block in timeline.blocks),
        "step_synced_p50_ms": median(synced_ms),
        "step_synced_p95_ms": quantiles(synced_ms, n=20, method="inclusive")[-1],
        "achieved_gflops": images_per_s * workload.flops_per_sample / 1e9,
    }


def finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


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


if __name__ == "__main__":
    main()
