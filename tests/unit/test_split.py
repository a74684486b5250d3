"""Device time of a step, for a trainer and a profiler with known times."""

import time
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebench import workloads
from framebench.frameworks._xspace import on_cpu, on_gpu
from framebench.measure import split

pytestmark = pytest.mark.check

TRAINING, INFERENCE = workloads.load("article-cnn"), workloads.load("resnet50-features")


class Trainer:
    """Every call takes 3 ms by the clock, and is waited for 2 ms more where its work has not been."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps_per_call: int = 1) -> None:
        self.now_ns, self.calls, self.steps_per_call = 0, 0, steps_per_call
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.now_ns)

    def synchronise(self) -> None:
        self.now_ns += 2_000_000

    def train(self, pace) -> None:
        for _ in count():
            self.now_ns += 3_000_000
            self.calls += 1
            if pace.over(self.synchronise, self.steps_per_call):
                return

    def infer(self, pace, take) -> None:
        take(None)
        self.train(pace)


def profiler(trainer: Trainer, spans=((0, 1e6),), error: Exception | None = None) -> SimpleNamespace:
    """An adapter's contract; `entered` notes after how many calls it began to follow, and how many it saw."""
    entered = []

    @contextmanager
    def traced(device: str):
        before = trainer.calls
        found: list = []
        yield found
        entered.append((device, before, trainer.calls - before))
        if error:
            raise error
        found += spans

    return SimpleNamespace(traced=traced, entered=entered)


@pytest.mark.parametrize("workload", [TRAINING, INFERENCE])
def test_the_first_call_is_not_followed_and_then_as_many_steps_as_were_asked_for(workload, monkeypatch):
    trainer = Trainer(monkeypatch)
    adapter = profiler(trainer, [(0, 4e6), (2e6, 5e6), (9e6, 10e6)])
    found = split.measured(trainer, adapter, workload, "cpu", 4)
    assert adapter.entered == [("cpu", 1, 4)]
    assert found == {"profiled_steps": 4, "profiled_step_ms": (4 * 3 + 2) / 4, "device_busy_ms": 6 / 4}


def test_a_call_of_several_steps_is_followed_whole(monkeypatch):
    trainer = Trainer(monkeypatch, steps_per_call=10)
    found = split.measured(trainer, profiler(trainer), TRAINING, "cuda", 4)
    assert trainer.calls == 2
    assert found == {"profiled_steps": 10, "profiled_step_ms": 0.5, "device_busy_ms": 0.1}


@pytest.mark.parametrize(
    ("spans", "error", "reason"),
    [
        ([], None, "ValueError: the profiler tells of nothing that was computed"),
        ([(0, 1)], ValueError("it does\nnot tell"), "ValueError: it does not tell"),
        ([(0, 1)], MemoryError("none left"), "MemoryError: none left"),
    ],
)
def test_a_profiler_that_cannot_tell_says_why_and_costs_the_run_nothing(spans, error, reason, monkeypatch):
    trainer = Trainer(monkeypatch)
    found = split.measured(trainer, profiler(trainer, spans, error), TRAINING, "cpu", 2)
    assert found == {"profile_reason": reason}


def test_a_step_that_fails_while_it_is_followed_ends_the_profiler(monkeypatch):
    trainer = Trainer(monkeypatch)
    adapter = profiler(trainer)
    trainer.synchronise = lambda: 1 / 0 if trainer.calls > 1 else None  # type: ignore[method-assign]
    found = split.measured(trainer, adapter, TRAINING, "cpu", 2)
    assert found == {"profile_reason": "ZeroDivisionError: division by zero"}


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12))))
def test_overlapping_spans_count_once(places):
    spans = [(start, start + length) for start, length in places]
    inside = {ns for start, stop in spans for ns in range(start, stop)}
    assert split.covered_ns(spans) == len(inside)


@pytest.mark.parametrize(
    ("plane", "line", "is_it"),
    [
        ("/device:GPU:0", "Stream #14(Kernel,MemcpyH2D)", True),
        ("/device:GPU:0", "XLA Ops", False),  # an annotation over kernels and the time between them
        ("/host:CPU", "Stream #14", False),
        ("/host:CPU", "python", False),
    ],
)
def test_a_gpu_computes_while_its_streams_run(plane, line, is_it):
    assert on_gpu(plane, line) == is_it


@pytest.mark.parametrize(
    ("event", "says_instruction", "is_it"),
    [
        ("Conv2D/ReadVariableOp:ReadVariableOp", False, True),
        ("StatefulPartitionedCall/sequential_1/conv1_1/Relu:_FusedConv2D", False, True),
        ("ynn_fusion.1", True, True),
        ("end: ynn_fusion.1", False, False),
        ("__inference_step_59:__inference_step_59", False, False),
        ("StatefulPartitionedCall:StatefulPartitionedCall", False, False),
        ("EagerLocalExecute: __inference_step_59", False, False),
        ("ThreadpoolListener::Record", False, False),
        ("ExecutorState::Process", False, False),
        ("ThunkExecutor::Execute (wait for completion)", False, False),
        ("PjitFunction(step)", False, False),
    ],
)
def test_a_cpu_computes_in_operators_and_not_in_their_callers(event, says_instruction, is_it):
    assert on_cpu(event, says_instruction) == is_it
