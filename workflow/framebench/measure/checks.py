"""Checks of a run in its process, after its timed steps: that it trained, in its precision and with its threads.

The findings of the framework's inspector belong to them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framebench import frameworks
from framebench.data.batches import whole_batches
from framebench.frameworks.contract import Adapter, Inspector, Trainer, Weights
from framebench.measure import ceiling, footprint, split
from framebench.measure.looks import Looks
from framebench.measure.request import Request
from framebench.workloads.layers import Workload
from framebench.workloads.own import Own

# Relative change. The same weights give the same loss, but for some units of float32's last place (1.2e-7) where a GPU
# adds in another order. With 1e-5, two of twelve runs of 30 steps were invalid: they ended near where they began.
LOSS_MOVES = 3e-7
# Cores that a run may use on a CPU per requested thread: an input pipeline has threads of its own.
THREADS_USED = 1.3
# Largest ratio of a profiled step to a timed one; beyond it, the clock is assumed not to have waited for the step.
QUEUED = 1.5
LOOP = "recurrent_loop_on_gpu"  # flag of a GPU run whose recurrent layer was not computed by cuDNN's kernel


def checked(
    trainer: Trainer,
    request: Request,
    workload: Workload,
    *,
    weights: Weights,
    first_batch: tuple[np.ndarray, np.ndarray],
    outputs: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Record fields from the outcome of the run, as far as `request` allows, and from the initial weights."""
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
    """Record fields from the trainer after training: it must have trained, and in the requested precision.

    `weights` are the initial ones; those of the trainer are changed.
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
    """Record fields from the outputs of the last batch, (n, size), and from the net unless `precision` is None."""
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
    step_ms: float,
) -> tuple[dict[str, Any], list[str]]:
    """Record fields and flags from the framework's inspector, or the reason why it has none.

    `step_ms`: step time by the clock.
    """
    try:
        module = frameworks.inspector(request.cell.framework)
    except frameworks.NoInspectorError as error:
        return {"profile_reason": str(error)}, []
    inspector = module.Inspector(trainer)
    seen, flags = kernels_seen(inspector, batch[0], device)
    if request.diagnosis:
        if steps := request.protocol.profiled_steps:
            seen |= split.measured(trainer, module, workload, device, steps)
            if device == "cuda":
                seen |= computed_in_time(seen, step_ms)
        seen |= ceiling.measured(inspector, adapter.out_of_memory)
        seen |= operations_counted(inspector, workload, batch)
    return seen, flags


def kernels_seen(inspector: Inspector, images: np.ndarray, device: str) -> tuple[dict[str, Any], list[str]]:
    """Record fields and flags from the operations that the framework runs for a batch."""
    ran = inspector.kernels(images)
    fallback = device == "cuda" and ran.get("recurrent") == "loop"
    return {"kernels": json.dumps(ran)}, [LOOP] * fallback


def computed_in_time(profile: Mapping[str, Any], step_ms: float) -> dict[str, Any]:
    """Record fields of a GPU run from its profile: invalid if the clock did not wait for the work."""
    busy_ms = profile.get("device_busy_ms") or 0.0
    if busy_ms <= QUEUED * step_ms:
        return {}
    reason = f"the GPU computes for {busy_ms:.3g} ms in a step, and the clock saw the end of one every {step_ms:.3g} ms"
    return {"status": "invalid", "reason": reason}


def look_without_dropout(
    looks: Looks, adapter: Adapter, request: Request, *, workload: Workload, weights: Weights, device: str
) -> None:
    """Look at the first steps of a second trainer like the measured one, with dropout off."""
    cell, batches = request.cell, looks.batches_without_dropout
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
    looks.look_without_dropout(trainer)


def operations_counted(
    inspector: Inspector, workload: Workload, batch: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Record fields from the framework's own count of a step's operations: it must agree with the spec."""
    counted = inspector.counted_step_flops(*batch) if workload.trains else inspector.counted_flops(batch[0])
    if counted is None:
        return {}
    found, expected = counted / len(batch[0]), workload.flops_per_sample
    # Counters may differ on a user's own model: one counts an operation as a product, another as a kernel.
    if isinstance(workload, Own) or found in (expected, expected - workload.flops_of_a_first_state):
        return {"counted_flops_per_sample": found}
    reason = (
        f"a step has {found:,.0f} floating-point operations a sample in the framework, and {expected:,} in the spec"
    )
    return {"counted_flops_per_sample": found, "status": "invalid", "reason": reason}


def precision_seen(trainer: Trainer, workload: Workload, batch_size: int, precision: str) -> dict[str, Any]:
    """Record fields from the net's numbers: they must show the requested precision.

    A user's own model has none, since its layers are not known; its weight changes are held to the precision's bounds.
    """
    if isinstance(workload, Own):
        return {}
    precisions = footprint.found(trainer, workload, batch_size)
    seen: dict[str, Any] = {"precision_found": footprint.described(precisions)}
    if reason := footprint.contradiction(precision, precisions):
        return seen | {"status": "failed", "reason": reason}
    return seen


def outcome_by_weights(weights: Weights, initial: Weights) -> dict[str, Any]:
    """Record fields from the weights alone: computing the loss may need more memory than training did."""
    if not all(np.isfinite(array).all() for array in weights.values()):
        return {"status": "invalid", "reason": "a weight is not finite"}
    if all(np.array_equal(array, initial[name]) for name, array in weights.items()):
        return {"status": "invalid", "reason": "no weight has changed"}
    return {}


def finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def threads_used(threads: int, cores: float) -> dict[str, Any]:
    """Record fields of a CPU run that used so many cores: more than its threads can use makes it invalid."""
    if cores <= THREADS_USED * threads:
        return {}
    return {"status": "invalid", "reason": f"{threads} threads were given, and {cores:.2f} cores were used"}


def did_not_train(first: object, last: object) -> str | None:
    """The reason why the run cannot have trained; None where the loss is finite and has moved.

    It need not have fallen: a short run may end on one of the jumps that momentum makes early in training. The
    certificate proves that the steps are right.
    """
    if not isinstance(first, float) or not isinstance(last, float):
        return "the loss is not finite"
    if abs(last - first) <= LOSS_MOVES * first:
        return f"the loss did not move: {first:.6g} before, {last:.6g} after"
    return None


def did_not_infer(output: np.ndarray) -> str | None:
    """The reason why outputs of a batch, (n, size), cannot belong to its samples; None where they can.

    The certificate proves that they are right.
    """
    if not np.isfinite(output).all():
        return "the output is not finite"
    if len(output) > 1 and (output == output[0]).all():
        return "every sample has the same output"
    return None
