"""The measuring process: record fields from its clock's readings."""

import json
from collections import deque
from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from framebench import frameworks, workloads
from framebench.frameworks import contract
from framebench.measure import checks, footprint, worker
from framebench.measure.devices import cuda, nvml
from framebench.measure.pace import Interval, Timeline
from framebench.measure.protocol import few_steps
from requested import PROTOCOL, request

pytestmark = pytest.mark.check

FEW = few_steps(PROTOCOL)


class AllAtOnce:
    """Turns, all blocks in the first one; the reported states."""

    def __init__(self, blocks: int = 1) -> None:
        self.blocks, self.states = blocks, list[str]()

    def wait(self, state: str) -> int:
        self.states.append(state)
        return self.blocks if state in ("built", "warm") else 0


TIMELINE = Timeline(
    first=Interval(1_000, 501_000, 1),
    warmup=[Interval(501_000, 701_000, 10), Interval(701_000, 801_000, 10)],
    blocks=[Interval(801_000, 901_000, 10)],
    synced=[Interval(901_000, 902_000, 1), Interval(902_000, 903_000, 1)],
)


def test_the_first_call_and_the_groups_of_the_warm_up_are_kept_in_order():
    seen = worker.timing(TIMELINE, 32, workloads.load("article-cnn"))
    assert seen["warmup_intervals"] == [
        {"t0_ns": 1_000, "t1_ns": 501_000, "steps": 1},
        {"t0_ns": 501_000, "t1_ns": 701_000, "steps": 10},
        {"t0_ns": 701_000, "t1_ns": 801_000, "steps": 10},
    ]
    assert seen["blocks"] == [{"t0_ns": 801_000, "t1_ns": 901_000, "steps": 10}]
    assert seen["warmup_steps"] == 20


class Trained:
    """A trainer whose losses are given: first the one after training."""

    def __init__(self, *losses: float) -> None:
        self.losses = list(losses)

    def loss(self, images, labels) -> float:
        return self.losses.pop(0)

    def load(self, weights) -> None:
        pass


@pytest.mark.parametrize(
    ("found", "last", "status", "reason"),
    [
        ({"conv1": "float32"}, 1.0, None, None),
        ({"conv1": "float32"}, 2.3, "invalid", "the loss did not move: 2.3 before, 2.3 after"),
        ({"conv1": "tf32"}, 1.0, "failed", "precision float32 was requested, but the numbers are those of tf32"),
        ({"conv1": "tf32"}, 2.3, "failed", "precision float32 was requested, but the numbers are those of tf32"),
    ],
)
def test_a_run_must_have_trained_and_in_the_precision_that_was_asked_for(found, last, status, reason, monkeypatch):
    monkeypatch.setattr(footprint, "found", lambda trainer, workload, batch_size: found)
    workload, batch = workloads.load("article-cnn"), (np.zeros((2, 32, 32, 3)), np.zeros(2, np.int64))
    seen = checks.outcome(Trained(last, 2.3), workload, {}, batch, "float32")  # type: ignore[arg-type]
    assert (seen["loss_first"], seen["loss_last"], seen["precision_found"]) == (2.3, last, found["conv1"])
    assert (seen.get("status"), seen.get("reason")) == (status, reason)


def test_a_run_that_ends_near_the_loss_it_began_with_has_trained():
    """TensorFlow's and Keras's of the article's net after 30 steps: momentum had thrown it up again."""
    assert checks.did_not_train(2.2862911224365234, 2.2862930297851562) is None


@pytest.mark.parametrize(("weights_only", "looked_at"), [(False, 2), (True, 0)])
def test_the_loss_of_a_trial_whose_memory_is_at_its_end_is_not_looked_at(
    weights_only, looked_at, tmp_path, monkeypatch
):
    workload, losses = workloads.load("article-cnn"), [2.3, 1.0]

    class Adapter:
        versions = dict
        start = staticmethod(lambda *_: None)

        class Trainer:
            def __init__(self, *_, **__) -> None:
                self.given = workload.initial_weights(1)

            settings, feed = dict, staticmethod(lambda *_: None)
            allocator_peaks_mib = staticmethod(lambda: (None, None))
            loss = staticmethod(lambda images, labels: losses.pop())

            def train(self, pace) -> None:
                while not pace.over(lambda: None):
                    pass

            def weights(self) -> dict[str, np.ndarray]:
                return self.given

            def load(self, weights) -> None:
                self.given = weights

    monkeypatch.setattr(frameworks, "load", lambda name: Adapter)
    monkeypatch.setattr(frameworks, "_folder", lambda name: "x")
    monkeypatch.setattr(footprint, "found", lambda trainer, workload, batch_size: {"conv1": "float32"})
    np.savez(tmp_path / "data.npz", samples=np.zeros((12, 32, 32, 3), np.uint8), labels=np.zeros(12))
    asked = replace(request(batch_size=6, data=str(tmp_path / "data.npz"), weights_only=weights_only), protocol=FEW)
    observed: dict[str, object] = {"status": "ok", "flags": []}
    turns = AllAtOnce()
    worker.observe(asked, turns, observed, tmp_path / "looks")  # type: ignore[arg-type]
    assert [state.split()[0] for state in turns.states] == ["built", "warm", "timed"]
    assert 2 - len(losses) == looked_at
    assert observed.get("kernels") is None
    reason = "workflow/framebench/frameworks/x/inspector.py does not exist, so nothing looks into pytorch"
    assert observed.get("profile_reason") == (None if weights_only else reason)
    # Its weights are: here they are as they were.
    assert observed.get("reason") == ("no weight has changed" if weights_only else None)


@pytest.mark.parametrize(
    ("after", "reason"),
    [([1.0, 2.0], "no weight has changed"), ([1.0, np.nan], "a weight is not finite"), ([1.0, 2.5], None)],
)
def test_a_trial_must_have_changed_its_weights_to_finite_ones(after, reason):
    seen = checks.outcome_by_weights({"a": np.array(after), "b": np.ones(2)}, {"a": np.array([1, 2]), "b": np.ones(2)})
    assert (seen.get("status"), seen.get("reason")) == ("invalid" if reason else None, reason)


@pytest.mark.parametrize(
    ("workload", "operations", "found"),
    [
        ("article-cnn", {"conv", "cudnn", "norm"}, {"execution": "graph"}),
        ("gru-imdb", {"conv", "cudnn"}, {"execution": "graph", "recurrent": "cudnn"}),
        ("gru-imdb", {"while"}, {"execution": "graph", "recurrent": "loop"}),
        ("resnet50-features", {"norm"}, {"execution": "graph", "batch_norm": "fused"}),
        ("resnet50-features", {"multiply"}, {"execution": "graph", "batch_norm": "elementwise"}),
    ],
)
def test_kernels_are_recorded_for_layers_with_several(workload, operations, found):
    loaded = workloads.load(workload)
    assert contract.kernels(loaded, "graph", operations, cudnn="cudnn", fused=("other", "norm")) == found


@pytest.mark.parametrize(
    ("device", "recurrent", "flags"),
    [("cuda", "loop", [checks.LOOP]), ("cuda", "cudnn", []), ("cpu", "loop", [])],
)
def test_a_gpu_that_does_not_use_the_kernel_for_recurrent_layers_is_flagged(device, recurrent, flags):
    ran = {"execution": "eager", "recurrent": recurrent}
    seen = checks.kernels_seen(SimpleNamespace(kernels=lambda images: ran), np.zeros(1), device)  # type: ignore[arg-type]
    assert seen == ({"kernels": json.dumps(ran)}, flags)


@pytest.mark.parametrize(
    ("output", "precisions", "status", "reason"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], {"conv1": "float32"}, None, None),
        ([[1.0, 2.0], [1.0, 2.0]], {"conv1": "float32"}, "invalid", "every sample has the same output"),
        ([[1.0, 2.0], [2.0, np.inf]], {"conv1": "float32"}, "invalid", "the output is not finite"),
        ([[1.0, 2.0]], {"conv1": "float32"}, None, None),
        (
            [[1.0, 2.0], [1.0, 2.0]],
            {"conv1": "tf32"},
            "failed",
            "precision float32 was requested, but the numbers are those of tf32",
        ),
    ],
)
def test_outputs_of_inference_must_be_finite_and_depend_on_samples(output, precisions, status, reason, monkeypatch):
    monkeypatch.setattr(footprint, "found", lambda trainer, workload, batch_size: precisions)
    seen = checks.outcome_of_inference(None, workloads.load("article-cnn"), np.array(output), "float32")  # type: ignore[arg-type]
    assert (seen.get("status"), seen.get("reason")) == (status, reason)
    assert seen["precision_found"] == precisions["conv1"]


@pytest.mark.parametrize("diagnosis", [True, False])
def test_in_inference_the_last_output_is_looked_at_and_no_loss(diagnosis):
    class Net:
        allocator_peaks_mib = staticmethod(lambda: (None, None))

        def infer(self, pace, take) -> None:
            for number in count():
                take(np.full((2, 3), float(number)))
                if pace.over(lambda: None):
                    return

    resnet = workloads.load("resnet50-features")
    asked = replace(request(batch_size=2, diagnosis=diagnosis), protocol=FEW)
    outputs: deque[np.ndarray] = deque(maxlen=1)
    seen = worker.measure(Net(), asked, resnet, AllAtOnce(), outputs=outputs, looks=None)  # type: ignore[arg-type]
    # One step leads in; a step is timed alone only where the run is diagnosed.
    steps = 1 + sum(interval["steps"] for interval in [*seen["warmup_intervals"], *seen["blocks"]])  # type: ignore[attr-defined]
    assert set(outputs[0].flat) == {steps - 1 + FEW.synced_steps * diagnosis}
    assert ("step_synced_p50_ms" in seen, "step_synced_p95_ms" in seen) == (diagnosis, False)
    assert seen["achieved_gflops"] == seen["images_per_s"] * resnet.forward_flops_per_sample / 1e9  # type: ignore[operator]


def test_the_environment_must_be_the_one_that_was_asked_for(tmp_path):
    with pytest.raises(RuntimeError, match=f"^{tmp_path}: this is not the environment of the interpreter"):
        worker.observe(request(environment=str(tmp_path)), AllAtOnce(), {}, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(("uuid", "device"), [(None, "cpu"), ("GPU-00000001", "cuda")])
def test_the_framework_is_told_to_use_the_gpu_that_the_run_was_given(uuid, device, monkeypatch):
    done = []

    class Adapter:
        @staticmethod
        def versions() -> dict[str, str]:
            return {}

        @staticmethod
        def start(*arguments):
            done.append(arguments)

        @staticmethod
        def Trainer(*_, device, **__):  # noqa: N802
            raise ValueError(f"built on {device}")

    monkeypatch.setattr(frameworks, "load", lambda name: Adapter)
    monkeypatch.setattr(frameworks, "_folder", lambda name: "x")
    monkeypatch.setattr(cuda, "visible_uuids", lambda: ["00000001"])
    monkeypatch.setattr(nvml, "session", nullcontext)
    monkeypatch.setattr(nvml, "handle", lambda uuid: uuid)
    monkeypatch.setattr(nvml, "used_mib", lambda uuid: {"GPU-00000001": 480.5}[uuid])
    observed: dict = {}
    with pytest.raises(ValueError, match=f"^built on {device}$"):
        worker.observe(request(uuid=uuid), AllAtOnce(), observed, Path("none"))  # type: ignore[arg-type]
    assert done == [(1, "float32", device)]
    # The context alone: read after the framework's first number and before the model.
    assert observed.get("gpu_started_mib") == (480.5 if uuid else None)


@pytest.mark.parametrize(("busy_ms", "refused"), [(9.0, False), (14.0, False), (16.0, True), (None, False)])
def test_on_a_gpu_the_clock_must_have_waited_for_the_work(busy_ms, refused):
    seen = checks.computed_in_time({"device_busy_ms": busy_ms}, step_ms=10.0)
    assert seen == ({} if not refused else {"status": "invalid", "reason": seen["reason"]})
    assert not refused or "16 ms in a step, and the clock saw the end of one every 10 ms" in seen["reason"]
