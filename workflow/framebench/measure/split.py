"""The device's share of a step, by the framework's own profiler; the rest of the step it waits for the host.

It follows the measuring, as a profiler slows the steps that it follows.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack

from framebench.frameworks.contract import Inspecting, Span, Trainer
from framebench.plain import plain
from framebench.workloads.layers import Workload


class Followed:
    """A pace of one call outside the profile, as it may still compile, and of calls with `steps` in all."""

    def __init__(self, trace: AbstractContextManager[list[Span]], steps: int, context: ExitStack) -> None:
        self._trace, self._context = trace, context
        self._left = steps
        self.steps = 0
        self.ns = 0
        self.spans: list[Span] | None = None

    def over(self, synchronise: Callable[[], object], steps: int = 1) -> bool:
        if self.spans is None:
            synchronise()
            self.spans = self._context.enter_context(self._trace)
            self._t0_ns = time.perf_counter_ns()
            return False
        self.steps += steps
        if self.steps < self._left:
            return False
        synchronise()
        self.ns = time.perf_counter_ns() - self._t0_ns
        self._context.close()
        return True


def measured(trainer: Trainer, inspector: Inspecting, workload: Workload, device: str, steps: int) -> dict[str, object]:
    """Record fields of a measured trainer on `device`, `cpu` or `cuda`, or the reason why there are none."""
    try:
        with ExitStack() as context:
            pace = Followed(inspector.traced(device), steps, context)
            if workload.trains:
                trainer.train(pace)
            else:
                trainer.infer(pace, lambda output: None)
        if not pace.spans:
            raise ValueError("the profiler tells of nothing that was computed")
    except Exception as error:  # whatever it is, the run has been measured
        return {"profile_reason": f"{type(error).__name__}: {plain(str(error))}"}
    return {
        "profiled_steps": pace.steps,
        "profiled_step_ms": pace.ns / pace.steps / 1e6,
        "device_busy_ms": covered_ns(pace.spans) / pace.steps / 1e6,
    }


def covered_ns(spans: Iterable[Span]) -> float:
    """Total length of the union of the spans."""
    total = end = 0.0
    for start, stop in sorted(spans):
        if stop > end:
            total += stop - max(start, end)
            end = stop
    return total
