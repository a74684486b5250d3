"""Every adapter keeps the contract on every workload: one suite, over all that are found."""

import json
import os
import subprocess

import numpy as np
import pytest

from conftest import PROJECT
from framebench import catalogue, environments, workloads
from framebench.workloads.layers import BatchNorm, Dropout

pytestmark = pytest.mark.usefixtures("installed")
BATCH_SIZE = 4
STEPS = 10  # of every training: as many as one call takes at most in track `tuned`
# JAX compiles some 150 functions here, and this takes half as long where they need not be fast.
XLA_FLAGS = "--xla_backend_optimization_level=0"
# A trace as XLA's profiler writes it of a GPU: a kernel and a copy that overlap, a stretch over both and what lies
# between, and an operator of the host. By their lines' clocks, in ns: 3000 to 6000 and 5000 to 9000.
GPU_TRACE = """
planes {
  name: "/device:GPU:0"
  lines {
    name: "Stream #7(Kernel)"
    timestamp_ns: 1000
    events { metadata_id: 1 offset_ps: 2000000 duration_ps: 3000000 }
  }
  lines {
    name: "Stream #9(MemcpyH2D)"
    timestamp_ns: 4000
    events { metadata_id: 2 offset_ps: 1000000 duration_ps: 4000000 }
  }
  lines {
    name: "XLA Modules"
    timestamp_ns: 0
    events { metadata_id: 3 offset_ps: 0 duration_ps: 90000000 }
  }
  event_metadata { key: 1 value { id: 1 name: "kernel" } }
  event_metadata { key: 2 value { id: 2 name: "MemcpyH2D" } }
  event_metadata { key: 3 value { id: 3 name: "jit_step" } }
}
planes {
  name: "/host:CPU"
  lines {
    name: "python"
    timestamp_ns: 0
    events { metadata_id: 1 offset_ps: 0 duration_ps: 90000000 }
  }
  event_metadata { key: 1 value { id: 1 name: "Conv2D:Conv2D" } }
}
"""
# Runs under the framework's own interpreter; prints what it saw.
SCRIPT = """
import json, logging, resource, sys
from contextlib import ExitStack
from unittest.mock import MagicMock, Mock, patch
import numpy as np
from framebench import frameworks, workloads
from framebench.certify import reference
from framebench.certify.arithmetic import Arithmetic
from framebench.measure import ceiling, footprint, split, worker
from framebench.workloads.layers import Dropout

framework, batch_size, steps_taken, gpu_trace = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
names = sys.argv[5:]
adapter = frameworks.load(framework)


class Steps:
    # A pace that ends after some steps and looks after every call.
    def __init__(self, look, count=steps_taken):
        self.look, self.left, self.losses = look, count, []
    def over(self, synchronise, steps=1):
        synchronise()
        self.losses.append(self.look())
        self.left -= steps
        return self.left <= 0


class Told:
    # An observer of what dropout does: of every call, which units came alive and which of these it dropped.
    def __init__(self):
        self.calls = []
    def loss(self, value):
        pass
    def gradients(self, gradients):
        pass
    def dropout(self, before, after):
        self.calls.append((before != 0, (before != 0) & (after == 0)))
    def redrawn(self, layers):
        # Shares of the units alive in two steps, one after the other, of which dropout thought otherwise.
        pairs = zip(self.calls, self.calls[layers:])
        return [float((one != other)[alive & again].mean()) for (alive, one), (again, other) in pairs]


def of_weights(workload, weights, images):
    # What every trainer says of its weights and its layers, and one that has got them.
    seen = {}
    trainer = adapter.Trainer(workload, weights, batch_size, 1, "float32")
    round_trip = trainer.weights()
    seen["round_trip"] = all(np.array_equal(round_trip[key], weights[key]) for key in weights)
    seen["names"] = sorted(round_trip)
    seen["settings"] = trainer.settings()
    seen["kernels"] = trainer.kernels(images)
    there, exact = trainer.layer_inputs(images), {}
    reference.forward(workload, weights, images, Arithmetic(), inputs=exact)
    seen["layer_inputs"] = {
        layer: float(np.linalg.norm(there[layer] - array) / np.linalg.norm(array)) for layer, array in exact.items()
    }
    bad = dict(weights)
    key = next(iter(bad))
    for broken in ("shape", "missing"):
        array = bad.pop(key)
        if broken == "shape":
            bad[key] = array[..., :-1]
        try:
            trainer.load(bad)
            seen[broken] = "accepted"
        except ValueError as error:
            seen[broken] = str(error)
    return seen, trainer


def tuned(workload, weights, images, labels, size, run):
    # What comes of a trainer with every setting of track tuned at once, as in the certificate; or why there is none.
    settings = {name: value for name, value in frameworks.furthest(adapter, workload).items() if name != "allocator"}
    try:
        trainer = adapter.Trainer(workload, weights, size, 1, "float32", tuning=settings)
    except ValueError as error:
        return {"tuning": settings, "unavailable": str(error)}
    trainer.feed(images, labels, "device")
    came = run(trainer)
    ran = trainer.kernels(images[:size])
    return {"tuning": settings, "settings": trainer.settings(), "execution": ran["execution"]} | came


def casts_left_out():
    modules = [sys.modules[one.__module__] for one in adapter.Trainer.__mro__]
    casting = next(module for module in modules if hasattr(module, "computed_type"))
    return patch.object(casting, "computed_type", lambda precision: "float32")


def small_ceiling(trainer):
    with patch.multiple(ceiling, SIZES=(64,), COPY_MIB=1, BLOCK_S=0.001):
        return ceiling.measured(trainer, adapter.out_of_memory)


def of_inference(workload):
    # Single images and few steps, as the one such net is large.
    size = 1
    weights = workload.initial_weights(1)
    images = np.random.default_rng(1).random((2 * size, *workload.input_shape), np.float32)
    labels = np.zeros(len(images), np.int64)
    seen, _ = of_weights(workload, weights, images[:1])

    def inferred(precision, input):
        trainer = adapter.Trainer(workload, weights, size, 1, precision)
        trainer.feed(images, labels, input)
        taken = []
        steps = Steps(lambda: len(taken), count=4)
        trainer.infer(steps, taken.append)
        return trainer, taken, steps.losses

    seen["precisions"] = {}
    # On a processor without instructions for it, PyTorch's convolution in bfloat16 takes half a minute an image.
    for precision in adapter.PRECISIONS["cpu"][: 1 if adapter.ENVIRONMENT == "pytorch" else None]:
        trainer, taken, told = inferred(precision, "device")
        evaluated = trainer.logits(images)
        seen["precisions"][precision] = {
            "told": told,  # how many outputs had been taken when the pace was told of a step
            "types": sorted({str(one.dtype) for one in taken}),
            "again": float(np.abs(np.concatenate(taken[2:4]) - np.concatenate(taken[:2])).max()),
            "off_evaluation": float(np.abs(np.concatenate(taken[:2]) - evaluated).max()),
            "first": taken[0][0, :8].tolist(),
            "varies": bool((taken[0] != taken[1]).any()),
            "allocator": trainer.allocator_peaks_mib(),
            "outcome": worker.outcome_of_inference(trainer, workload, taken[-1], precision),
            "ceiling": small_ceiling(trainer),
        }
    trainer, taken, _ = inferred("float32", "host")
    seen["host"] = taken[0][0, :8].tolist()

    def came(trainer):
        found = []
        trainer.infer(Steps(lambda: None, count=2), found.append)
        return {"first": found[0][0, :8].tolist()}

    seen["tuned"] = tuned(workload, weights, images, labels, size, came)
    with casts_left_out():
        trainer = adapter.Trainer(workload, weights, 1, 1, "bfloat16")
        seen["planted"] = worker.outcome_of_inference(trainer, workload, taken[-1], "bfloat16")
    return seen


def of_training(workload):
    weights = workload.initial_weights(1)
    generator = np.random.default_rng(1)
    if workload.tokens:
        images = generator.integers(0, workload.tokens, (3 * batch_size, *workload.input_shape))
    else:
        images = generator.random((3 * batch_size, *workload.input_shape), np.float32)
    labels = generator.integers(0, workload.shapes[-1][0], 3 * batch_size)
    batch = images[:batch_size], labels[:batch_size]

    def trained(precision="float32", input="device", change=lambda trainer: None):
        # A trainer after some steps, and their losses.
        trainer = adapter.Trainer(workload, weights, batch_size, 1, precision)
        change(trainer)
        trainer.feed(images, labels, input)
        steps = Steps(lambda: trainer.loss(*batch))
        trainer.train(steps)
        return trainer, steps.losses

    def came(trainer):
        trainer.train(Steps(lambda: None))
        return {"loss": trainer.loss(*batch), "moved": moved(trainer)}

    def moved(trainer):
        changed = trainer.weights()
        return all((changed[key] != weights[key]).any() for key in weights)

    seen, trainer = of_weights(workload, weights, images)
    seen["loss"] = trainer.loss(*batch)
    told = Told()
    trainer, seen["host"] = trained(input="host", change=lambda trainer: trainer.watch(told))
    seen["redrawn"] = told.redrawn(sum(isinstance(layer, Dropout) for layer in workload.layers))
    seen["moved"] = moved(trainer)
    trainer.load(weights)
    seen["reloaded"] = trainer.loss(*batch)
    if framework == "keras-tensorflow":  # as on a GPU, where `fit` is given the numbers of batches that are there
        seen["by_number"] = trained(change=lambda trainer: setattr(trainer, "on_gpu", True))[1]
    if framework == "tensorflow":  # as on a GPU, where steps in one call take the batches by number

        def several(place):
            tuning = {"steps_per_call": steps_taken}
            trainer = adapter.Trainer(workload, weights, batch_size, 1, "float32", tuning=tuning)
            trainer.place = place
            trainer.feed(images, labels, "device")
            trainer.train(Steps(lambda: None, count=1))
            return trainer.loss(*batch)

        seen["several"] = [several(place) for place in (adapter.CPU, "/device:CPU:0")]
    seen["precisions"] = {}
    for precision in adapter.PRECISIONS["cpu"]:
        trainer, losses = trained(precision)
        seen["precisions"][precision] = {
            "losses": losses,
            "stored": sorted({str(array.dtype) for array in trainer.weights().values()}),
            "moved": moved(trainer),
            "allocator": trainer.allocator_peaks_mib(),
            "outcome": worker.outcome(trainer, workload, weights, batch, precision),
            "ceiling": small_ceiling(trainer),
        }
    seen["tuned"] = tuned(workload, weights, images, labels, batch_size, came)
    with casts_left_out():
        trainer = adapter.Trainer(workload, weights, batch_size, 1, "bfloat16")
        seen["planted"] = worker.outcome(trainer, workload, weights, batch, "bfloat16")
    return seen


def of_profiler(workload):
    # How many operators the profiler followed in so many steps, with the device waited for at both ends.
    trainer = adapter.Trainer(workload, workload.initial_weights(1), batch_size, 1, "float32")
    images = np.random.default_rng(1).random((12 * batch_size, *workload.input_shape), np.float32)
    trainer.feed(images, np.zeros(len(images), np.int64), "device")
    seen = {"operators": {}, "measured": split.measured(trainer, adapter, workload, "cpu", 3)}
    for steps in (3, 6):
        with ExitStack() as context:
            pace = split.Followed(adapter.traced("cpu"), steps, context)
            trainer.train(pace)
        seen["operators"][steps] = len(pace.spans)
    return seen


def of_jax(workload):
    # Whether every weight is there once the device was waited for, and how often the step is compiled over the epochs.
    trainer = adapter.Trainer(workload, workload.initial_weights(1), batch_size, 1, "float32")
    images = np.random.default_rng(1).random((3 * batch_size, *workload.input_shape), np.float32)
    trainer.feed(images, np.zeros(len(images), np.int64), "device")
    compiled = []
    log, handler = logging.getLogger("jax"), logging.Handler()
    handler.emit = lambda record: compiled.append(record.getMessage())
    log.addHandler(handler)
    with jax.log_compiles():
        shapes = set(workload.weight_shapes.values())
        steps = Steps(lambda: all(one.is_ready() for one in jax.live_arrays() if one.shape in shapes))
        trainer.train(steps)
    log.removeHandler(handler)
    # Named as its function, `train_step` or `_step`.
    compiled = [one for one in compiled if one.startswith("Compiling") and "_step" in one]
    return {"ready": steps.losses, "compiled": compiled}


def of_gpu_trace(text):
    # What the adapter takes for the GPU's, of a trace that was written by hand.
    if adapter.ENVIRONMENT == "jax":
        from framebench.frameworks.jax import spans_in
        return spans_in(jax.profiler.ProfileData.from_text_proto(text), "cuda")
    if adapter.ENVIRONMENT == "tensorflow":
        from google.protobuf import text_format
        from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace
        from framebench.frameworks.tensorflow import spans_in
        return spans_in(text_format.Parse(text, XSpace()), "cuda")
    cuda, cpu = torch.autograd.DeviceType.CUDA, torch.autograd.DeviceType.CPU
    events = [
        ("a kernel", cuda, False, 3000, 6000),
        ("Memcpy HtoD", cuda, False, 5000, 9000),
        ("Optimizer.step#SGD.step", cuda, True, 0, 90000),
        ("aten::conv2d", cpu, False, 0, 90000),
        ("Torch-Compiled Region: 0/0", cpu, False, 0, 90000),
    ]
    names = ("name", "device_type", "is_user_annotation", "start_ns", "end_ns")
    seen = MagicMock()
    seen.__enter__.return_value.profiler.kineto_results.events.return_value = [
        Mock(**{name: Mock(return_value=value) for name, value in zip(names, event)}) for event in events
    ]
    with patch.object(torch.profiler, "profile", return_value=seen) as profile:
        with adapter.traced("cuda") as spans:
            pass
    assert profile.call_args.kwargs == {"activities": [torch.profiler.ProfilerActivity.CUDA]}
    return spans


def of_workload(workload):
    return of_training(workload) if workload.trains else of_inference(workload)


seen = {"versions": adapter.versions(), "workloads": {name: of_workload(workloads.load(name)) for name in names}}
workload = workloads.load(names[0])
seen["profiler"] = of_profiler(workload)
if adapter.ENVIRONMENT == "jax":
    import jax
    seen["jax"] = of_jax(workload)
if adapter.ENVIRONMENT == "pytorch":
    import torch
seen["gpu_trace"] = of_gpu_trace(gpu_trace)
try:
    adapter.Trainer(workload, workload.initial_weights(1), batch_size, 1, "float32", device="cuda")
except ValueError as error:
    seen["no_gpu"] = str(error)


def caught(fail):
    try:
        fail()
    except Exception as error:
        return error


# More than 2^47 bytes, which no process has addresses for, whatever the kernel lets it promise itself.
if adapter.ENVIRONMENT == "pytorch":
    out_of_memory = [
        caught(lambda: torch.empty(2**50, dtype=torch.uint8)),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ]
    others = [
        caught(lambda: torch.ones(2) @ torch.ones(3)),
        RuntimeError("CUDA error: invalid argument"),
        RuntimeError("could not create a primitive"),
    ]
elif adapter.ENVIRONMENT == "jax":
    import jax.numpy as jnp
    Error = jax.errors.JaxRuntimeError
    out_of_memory = [
        caught(lambda: jnp.zeros(2**48)),
        caught(lambda: jax.jit(lambda: 2 * jnp.ones(2**48))()),
        Error("INTERNAL: Failed to create cuDNN handle: CUDNN_STATUS_ALLOC_FAILED"),
        Error("INTERNAL: Failed to allocate: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    ]
    others = [
        caught(lambda: jnp.ones(2) + jnp.ones(3)),
        Error("INTERNAL: Failed to launch a kernel"),
        RuntimeError("RESOURCE_EXHAUSTED: of another library"),
    ]
else:
    import tensorflow as tf
    out_of_memory = [
        caught(lambda: tf.fill([2**48], 1.0)),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        tf.errors.InternalError(None, None, "Failed to create cuDNN handle: CUDNN_STATUS_ALLOC_FAILED"),
        tf.errors.InternalError(None, None, "Failed copying input tensor: Dst tensor is not initialized."),
        RuntimeError("Error copying tensor to device: GPU:0. Dst tensor is not initialized."),
    ]
    others = [
        caught(lambda: tf.ones(2) + tf.ones(3)),
        tf.errors.InternalError(None, None, "Blas GEMM launch failed"),
        RuntimeError("Src tensor is not initialized."),
    ]
seen["errors"] = [type(error).__name__ for error in [*out_of_memory, *others]]
seen["out_of_memory"] = [adapter.out_of_memory(error) for error in [MemoryError(), *out_of_memory]]
seen["not_out_of_memory"] = [adapter.out_of_memory(error) for error in [ValueError("x"), *others]]
if adapter.ENVIRONMENT == "pytorch":
    resource.setrlimit(resource.RLIMIT_DATA, (2**40, resource.RLIM_INFINITY))
    seen["limited"] = [
        adapter.out_of_memory(RuntimeError(f"could not create a primitive{rest}")) for rest in ("", " descriptor")
    ]
json.dump(seen, sys.stdout)
"""


@pytest.fixture(scope="module", params=catalogue.frameworks())
def of_framework(request):
    """What the script saw of a framework, in one process, as most of the time goes into its import."""
    prefix = PROJECT / environments.prefix(environments.lock_of(request.param, "cpu"))
    result = subprocess.run(
        [
            *(prefix / "bin/python", "-P", "-c", SCRIPT, request.param),
            *(str(BATCH_SIZE), str(STEPS), GPU_TRACE, *catalogue.workloads()),
        ],
        env={
            "PATH": os.environ["PATH"],  # on which torch.compile finds g++
            "PYTHONPATH": str(PROJECT / "workflow"),
            "CUDA_VISIBLE_DEVICES": "-1",
            "OMP_NUM_THREADS": "1",
            "XLA_FLAGS": XLA_FLAGS,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return request.param, json.loads(result.stdout)


def kinds(trains: bool) -> list[str]:
    return [name for name in catalogue.workloads() if workloads.load(name).trains == trains]


@pytest.fixture(params=catalogue.workloads())
def conformance(request, of_framework):
    framework, saw = of_framework
    return (framework, request.param), saw["workloads"][request.param]


@pytest.fixture(params=kinds(trains=True))
def training(request, of_framework):
    framework, saw = of_framework
    return (framework, request.param), saw["workloads"][request.param]


@pytest.fixture(params=kinds(trains=False))
def inference(request, of_framework):
    framework, saw = of_framework
    return (framework, request.param), saw["workloads"][request.param]


@pytest.fixture(scope="module")
def losses() -> dict[str, list[float]]:
    """Workload → what was lost with the initial weights, in one framework after the other."""
    return {}


@pytest.fixture(scope="module")
def outputs() -> dict[str, list[float]]:
    """Workload → what came out of the first framework."""
    return {}


def test_the_lock_installs_what_the_adapter_says(of_framework):
    framework, saw = of_framework
    version = saw["versions"]["framework_version"].partition("+")[0]
    pins = environments.pins(environments.lock_of(framework, "cpu"))
    assert any(f"=={version}" in pin for pin in pins)


def test_all_that_a_step_computes_is_done_when_the_device_was_waited_for(of_framework):
    _, saw = of_framework
    operators = saw["profiler"]["operators"]
    assert operators["3"] >= 3 * 10
    assert operators["6"] == pytest.approx(2 * operators["3"], rel=0.1)


def test_the_profiler_tells_how_long_of_a_step_the_device_computes(of_framework):
    _, saw = of_framework
    found = saw["profiler"]["measured"]
    assert found["profiled_steps"] == 3
    assert 0 < found["device_busy_ms"] <= found["profiled_step_ms"]


def test_of_a_trace_of_a_gpu_its_kernels_and_copies_are_taken(of_framework):
    _, saw = of_framework
    assert sorted(saw["gpu_trace"]) == [[3000, 6000], [5000, 9000]]


def test_jax_waits_for_every_weight_and_compiles_its_step_once(of_framework):
    _, saw = of_framework
    if "jax" in saw:
        assert saw["jax"]["ready"] == [True] * STEPS
        assert len(saw["jax"]["compiled"]) == 1, saw["jax"]["compiled"]


def test_weights_come_back_as_they_were_given(conformance):
    (_, workload), saw = conformance
    assert saw["names"] == sorted(workloads.load(workload).weight_shapes)
    assert saw["round_trip"]


def test_the_loss_of_the_initial_weights_is_the_same_in_every_framework(training, losses):
    (_, workload), saw = training
    losses.setdefault(workload, []).append(saw["loss"])
    assert np.ptp(losses[workload]) < 1e-5
    assert abs(saw["loss"] - np.log(workloads.load(workload).shapes[-1][0])) < 1


def test_what_reaches_each_layer_is_what_the_reference_says(conformance):
    (_, workload), saw = conformance
    assert [f"{layer}/kernel" for layer in saw["layer_inputs"]] == [
        name for name in workloads.load(workload).weight_shapes if name.endswith("/kernel")
    ]
    # float32: some 10⁻⁷ a layer, and a value in another place as much as itself.
    assert max(saw["layer_inputs"].values()) < 1e-5


def test_training_goes_on_over_epochs_for_exactly_the_steps_asked_for(training):
    _, saw = training
    for losses in (saw["host"], saw["precisions"]["float32"]["losses"]):
        assert len(losses) == STEPS  # 3 batches an epoch
        assert len(set(losses)) == STEPS
    assert saw["moved"]
    assert saw["reloaded"] == pytest.approx(saw["loss"], abs=1e-6)


def test_both_inputs_train_on_the_same_batches_in_the_same_order(training):
    (_, workload), saw = training
    if workload == "article-cnn":  # without dropout, so the same steps
        assert saw["precisions"]["float32"]["losses"] == pytest.approx(saw["host"], abs=1e-5)


def test_dropout_draws_anew_in_every_step(training):
    (_, workload), saw = training
    rates = [layer.rate for layer in workloads.load(workload).layers if isinstance(layer, Dropout)]
    assert len(saw["redrawn"]) == (STEPS - 1) * len(rates)
    for share, rate in zip(saw["redrawn"], (STEPS - 1) * rates, strict=True):
        # Of some thousand units, and of two thousand of the last layer's in four images.
        assert share == pytest.approx(2 * rate * (1 - rate), abs=0.1)


def test_weights_that_do_not_fit_are_refused(conformance):
    (_, workload), saw = conformance
    first, *_ = workloads.load(workload).layers
    assert saw["missing"].startswith(f"layer {first.name}: ")
    assert saw["shape"].startswith(f"layer {first.name}: ")


def test_inference_goes_through_the_batches_again_and_again_and_hands_over_what_came_out(inference):
    _, saw = inference
    for of_it in saw["precisions"].values():
        assert of_it["told"] == [1, 2, 3, 4]  # 2 batches an epoch, each output before its step is counted
        assert of_it["types"] == ["float32"]
        assert of_it["again"] == 0
        assert of_it["varies"]
    assert saw["precisions"]["float32"]["off_evaluation"] < 1e-5
    assert saw["host"] == pytest.approx(saw["precisions"]["float32"]["first"], abs=1e-5)


def test_what_comes_out_of_inference_is_the_same_in_every_framework(inference, outputs):
    (_, workload), saw = inference
    first = outputs.setdefault(workload, saw["host"])
    assert saw["host"] == pytest.approx(first, abs=1e-5)


def test_every_precision_of_a_cpu_infers_the_same_and_is_seen_in_the_numbers(inference):
    _, saw = inference
    for precision, of_it in saw["precisions"].items():
        assert of_it["outcome"] == {"precision_found": precision}
        # Some fifty roundings to 8 bits, of features that are of the size of 0.05.
        assert of_it["first"] == pytest.approx(saw["precisions"]["float32"]["first"], abs=0.02)


def test_out_of_memory_is_told_from_other_errors(of_framework):
    _, saw = of_framework
    assert "NoneType" not in saw["errors"]
    assert set(saw["out_of_memory"]) == {True}
    assert set(saw["not_out_of_memory"]) == {False}


def test_where_memory_is_limited_onednn_says_so_in_other_words(of_framework):
    framework, saw = of_framework
    if catalogue.adapter(framework).environment == "pytorch":
        assert saw["limited"] == [True, False]


def test_every_precision_of_a_cpu_trains_and_is_seen_in_the_numbers(training):
    (framework, _), saw = training
    assert list(saw["precisions"]) == list(catalogue.adapter(framework).precisions["cpu"])
    for precision, of_it in saw["precisions"].items():
        assert of_it["stored"] == ["float32"]
        assert of_it["moved"]
        assert len(set(of_it["losses"])) == STEPS
        assert of_it["outcome"]["precision_found"] == precision
        assert "reason" not in of_it["outcome"]


def test_large_products_and_copies_can_be_timed_in_every_precision(conformance):
    _, saw = conformance
    for of_it in saw["precisions"].values():
        assert of_it["ceiling"].pop("ceiling_matrix_size") == 64
        assert sorted(of_it["ceiling"]) == ["ceiling_copy_gb_per_s", "ceiling_gflops"]
        assert all(value > 0 for value in of_it["ceiling"].values())


def test_a_lower_precision_trains_the_same_net(training):
    _, saw = training
    exact = saw["precisions"]["float32"]["losses"]
    for of_it in saw["precisions"].values():
        # The loss is of the size of 1, and each of its few roundings to 8 bits moves it by some 2⁻⁸.
        assert of_it["losses"][0] == pytest.approx(exact[0], abs=0.05)


def test_a_precision_that_is_not_in_effect_fails_the_run(conformance):
    _, saw = conformance
    assert saw["planted"]["status"] == "failed"
    assert saw["planted"]["reason"] == "precision bfloat16 was asked for, but the numbers are those of float32"


def test_without_a_gpu_there_is_an_error_and_no_run_on_the_cpu(of_framework):
    _, saw = of_framework
    assert saw["no_gpu"].startswith("a GPU is asked for, but ")
    assert " sees none " in saw["no_gpu"]


def test_the_threads_are_as_many_as_asked_for(conformance):
    _, saw = conformance
    # Each framework's own words for them.
    told = [saw["settings"].get(name) for name in ("num_threads", "intra_op_threads", "xla_threads")]
    assert [count for count in told if count is not None] == [1]


# Of a batch norm in evaluation; Keras has none of its own backend's kernels there.
BATCH_NORM = {"pytorch": "fused"}


def test_the_way_that_is_taken_is_seen_in_what_the_framework_runs(conformance):
    (framework, name), saw = conformance
    workload = workloads.load(name)
    execution = {"pytorch": "eager", "tensorflow": "graph", "jax": "compiled"}
    expected = {"execution": execution[catalogue.adapter(framework).environment]}
    if workload.recurrent:
        expected["recurrent"] = "loop"  # cuDNN is for GPUs
    if BatchNorm in workload.kinds.values():
        expected["batch_norm"] = BATCH_NORM.get(framework, "elementwise")
    assert saw["kernels"] == expected


# What track `tuned` cannot be had for, and the setting that its refusal begins with.
UNAVAILABLE = {("keras-torch", "gru-imdb"): "jit_compile: "}


def test_track_tuned_is_there_with_all_its_settings_or_says_why_not(conformance):
    name, saw = conformance
    assert ("unavailable" in saw["tuned"]) == (name in UNAVAILABLE)
    if name in UNAVAILABLE:
        assert saw["tuned"]["unavailable"].startswith(UNAVAILABLE[name])
    else:
        assert saw["tuned"]["execution"] == "compiled"
        images = not workloads.load(name[1]).tokens  # which alone have channels to be last
        for setting, value in saw["tuned"]["tuning"].items():
            if images or setting != "channels_last":
                assert saw["tuned"]["settings"].get(setting, value) == value


def test_track_tuned_trains_the_same_net(training):
    (_, workload), saw = training
    if "unavailable" not in saw["tuned"]:
        assert saw["tuned"]["moved"]
        if any(isinstance(layer, Dropout) for layer in workloads.load(workload).layers):
            assert 0 < saw["tuned"]["loss"] < 2 * saw["loss"]
        else:
            assert saw["tuned"]["loss"] == pytest.approx(saw["precisions"]["float32"]["losses"][-1], abs=1e-4)


def test_track_tuned_infers_the_same(inference):
    _, saw = inference
    assert saw["tuned"]["first"] == pytest.approx(saw["host"], abs=1e-5)


def test_the_memory_of_a_gpu_is_not_told_where_there_is_none(conformance):
    _, saw = conformance
    assert saw["precisions"]["float32"]["allocator"] == [None, None]
    assert saw["settings"]["device"].upper().endswith(("CPU", "CPU:0"))


def test_steps_in_one_call_take_the_same_batches_by_number(training):
    (framework, workload), saw = training
    if framework == "tensorflow" and workload == "article-cnn":
        by_data_set, by_number = saw["several"]
        assert by_data_set == pytest.approx(saw["precisions"]["float32"]["losses"][-1], abs=1e-5)
        assert by_number == pytest.approx(by_data_set, abs=1e-6)


def test_batches_that_keras_takes_by_number_train_as_those_that_it_is_given(training):
    (framework, workload), saw = training
    if framework == "keras-tensorflow" and workload == "article-cnn":
        assert saw["by_number"] == pytest.approx(saw["precisions"]["float32"]["losses"], abs=1e-6)
