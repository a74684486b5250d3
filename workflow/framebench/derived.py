"""Record fields derived from other fields: computed when a record is made, and again when it is read."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

# Tolerance for a sum taken in another order, and for a number that went through text.
RELATIVE = 1e-9
# The parts of process_s; start_s goes before them and end_s after them.
STARTING = ("import_s", "build_s", "data_s")
AT_WORK = ("time_to_first_step_s", "warmup_s", "lead_in_s", "timed_s", "waiting_s", "check_s", "diagnosis_s")

Intervals = Sequence[Mapping[str, int]]  # as in a record: t0_ns, t1_ns, steps


def of_start(intervals: Intervals) -> dict[str, float | int]:
    """Fields of the first call and of the warm-up groups, from `warmup_intervals`."""
    first, *groups = intervals
    return {
        "steps_per_call": first["steps"],
        "time_to_first_step_s": _s(first),
        "warmup_s": sum(map(_s, groups)),
        "warmup_steps": sum(group["steps"] for group in groups),
    }


def of_blocks(blocks: Intervals, batch_size: int, flops_per_sample: int) -> dict[str, float]:
    """Fields of speed, from the timed `blocks`."""
    step_s = [_s(block) / block["steps"] for block in blocks]
    speeds = [batch_size / one for one in step_s]
    images_per_s = median(speeds)
    return {
        "timed_s": sum(map(_s, blocks)),
        "images_per_s": images_per_s,
        "images_per_s_mad": median(abs(speed - images_per_s) for speed in speeds),
        "step_ms": 1e3 * median(step_s),
        "achieved_gflops": images_per_s * flops_per_sample / 1e9,
    }


def contradiction(record: Mapping[str, Any]) -> str | None:
    """The first derived field that contradicts its sources, with both values; None where none does.

    A field that is null, or whose sources are missing, is no contradiction.
    """
    blocks, intervals = record.get("blocks"), record.get("warmup_intervals")
    found: dict[str, float | int] = {}
    if blocks:
        found |= of_blocks(blocks, record["batch_size"], record.get("flops_per_sample") or 0)
        if joules := record.get("energy_j"):
            found["images_per_j"] = record["batch_size"] * sum(block["steps"] for block in blocks) / joules
    if intervals:
        found |= of_start(intervals)
    if all(record.get(name) is not None for name in ("start_s", *AT_WORK, "end_s")):
        found["process_s"] = sum(record.get(name) or 0.0 for name in ("start_s", *STARTING, *AT_WORK, "end_s"))
    for name, expected in found.items():
        told = record.get(name)
        if told is not None and not math.isclose(told, expected, rel_tol=RELATIVE, abs_tol=RELATIVE):
            return f"{name} is {told:.9g}, but {expected:.9g} follows from the rest of the record"
    return None


def _s(interval: Mapping[str, int]) -> float:
    return (interval["t1_ns"] - interval["t0_ns"]) / 1e9
