"""Makes one framework do everything in its contract, and writes down the observations.

Run inside a framework's environment as `python -P conformance_probe.py FRAMEWORK OUTPUT PART…`. A part is the name of a
workload, or `framework` for everything that does not depend on one. Writes JSON: part → observations.
"""

import importlib
import json
import logging
import resource
import sys
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np

from framebench import frameworks, workloads
from framebench.certify import reference
from framebench.certify.arithmetic import Arithmetic
from framebench.frameworks.contract import Framework, furthest
from framebench.measure import ceiling, checks, split
from framebench.plan import catalogue
from framebench.workloads.layers import Dropout

FRAMEWORK = "framework"
SMALLEST = "article-cnn"
BATCH_SIZE = 4
EPOCH = 3  # batches in it
STEPS = 10  # of every training: as many as one call takes at most in track `tuned`


class Steps:
    """A pace that ends after some steps and looks after every call."""

    def __init__(self, look, count=STEPS):
        self.look, self.left, self.seen = look, count, []

    def over(self, synchronise, steps=1):
        synchronise()
        self.seen.append(self.look())
        self.left -= steps
        return self.left <= 0


class Dropped:
    """An observer of dropout: in every call, which units were alive before it and which of these it dropped."""

    def __init__(self):
        self.calls = []

    def loss(self, value):
        pass

    def gradients(self, gradients):
        pass

    def dropout(self, before, after):
        self.calls.append((before != 0, (before != 0) & (after == 0)))

    def redrawn(self, layers):
        """Shares of the units alive in two consecutive steps that were dropped in only one of them."""
        pairs = zip(self.calls, self.calls[layers:], strict=False)
        return [float((one != other)[alive & again].mean()) for (alive, one), (again, other) in pairs]


def of_weights(framework, workload, weights, images):
    """Facts on every trainer's weights and layers, and a trainer with those weights."""
    seen = {}
    trainer = framework.adapter.Trainer(workload, weights, BATCH_SIZE, 1, "float32")
    inspector = framework.inspector.Inspector(trainer)
    round_trip = trainer.weights()
    seen["round_trip"] = all(np.array_equal(round_trip[key], weights[key]) for key in weights)
    seen["names"] = sorted(round_trip)
    seen["settings"] = trainer.settings()
    seen["kernels"] = inspector.kernels(images)
    there, exact = inspector.layer_inputs(images), {}
    logits, _ = reference.forward(workload, weights, images, Arithmetic(), inputs=exact)
    seen["reference"] = np.asarray(logits, np.float64).tolist()
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


def tuned(framework, workload, weights, samples, *, size, run):
    """The outcome of a trainer with every setting of track `tuned`, as in the certificate; or the reason for none."""
    if "tuned" not in framework.adapter.TRACKS:
        return None
    settings = {name: value for name, value in furthest(framework.adapter, workload).items() if name != "allocator"}
    try:
        trainer = framework.adapter.Trainer(workload, weights, size, 1, "float32", tuning=settings)
    except ValueError as error:
        return {"tuning": settings, "unavailable": str(error)}
    trainer.feed(*samples, "device")
    came = run(trainer)
    ran = framework.inspector.Inspector(trainer).kernels(samples[0][:size])
    return {"tuning": settings, "settings": trainer.settings(), "execution": ran["execution"]} | came


def casts_left_out(adapter):
    modules = [sys.modules[one.__module__] for one in adapter.Trainer.__mro__]
    casting = next(module for module in modules if hasattr(module, "computed_type"))
    return patch.object(casting, "computed_type", lambda precision: "float32")


def small_ceiling(framework, trainer):
    with patch.multiple(ceiling, SIZES=(64,), COPY_MIB=1, BLOCK_S=0.001):
        return ceiling.measured(framework.inspector.Inspector(trainer), framework.adapter.out_of_memory)


def planted(framework, outcome):
    """The outcome of a net asked for bfloat16 that casts nothing; None where bfloat16 is not offered."""
    if "bfloat16" not in framework.adapter.PRECISIONS["cpu"]:
        return None
    with casts_left_out(framework.adapter):
        return outcome()


def of_inference(framework, workload):
    adapter = framework.adapter
    # Single images and few steps, as the one such net is large.
    size = 1
    weights = workload.initial_weights(1)
    images = np.random.default_rng(1).random((2 * size, *workload.input_shape), np.float32)
    labels = np.zeros(len(images), np.int64)
    seen, _ = of_weights(framework, workload, weights, images[:1])

    def inferred(precision, source):
        trainer = adapter.Trainer(workload, weights, size, 1, precision)
        trainer.feed(images, labels, source)
        taken = []
        steps = Steps(lambda: len(taken), count=4)
        trainer.infer(steps, taken.append)
        return trainer, taken, steps.seen

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
            "first": taken[0][0].tolist(),
            "varies": bool((taken[0] != taken[1]).any()),
            "allocator": trainer.allocator_peaks_mib(),
            "outcome": checks.outcome_of_inference(trainer, workload, taken[-1], precision),
            "ceiling": small_ceiling(framework, trainer),
        }
    trainer, taken, _ = inferred("float32", "host")
    seen["host"] = taken[0][0].tolist()

    def came(trainer):
        found = []
        trainer.infer(Steps(lambda: None, count=2), found.append)
        return {"first": found[0][0].tolist()}

    seen["tuned"] = tuned(framework, workload, weights, (images, labels), size=size, run=came)

    def without_casts():
        trainer = adapter.Trainer(workload, weights, 1, 1, "bfloat16")
        return checks.outcome_of_inference(trainer, workload, taken[-1], "bfloat16")

    seen["planted"] = planted(framework, without_casts)
    return seen


def begun_anew(framework, workload, weights, samples):
    """The losses after the steps of two epochs, with the initial weights loaded within the loop in between."""
    trainer = framework.adapter.Trainer(workload, weights, BATCH_SIZE, 1, "float32")
    framework.inspector.Inspector(trainer).without_dropout()
    trainer.feed(*samples, "device")
    batch = tuple(array[:BATCH_SIZE] for array in samples)
    losses = []

    def look():
        losses.append(trainer.loss(*batch))
        if len(losses) == EPOCH:
            trainer.load(weights)

    trainer.train(Steps(look, count=2 * EPOCH))
    return losses


def of_training(framework, name, workload):
    adapter = framework.adapter
    weights = workload.initial_weights(1)
    generator = np.random.default_rng(1)
    if workload.tokens:
        images = generator.integers(0, workload.tokens, (EPOCH * BATCH_SIZE, *workload.input_shape))
    else:
        images = generator.random((EPOCH * BATCH_SIZE, *workload.input_shape), np.float32)
    labels = generator.integers(0, workload.shapes[-1][0], EPOCH * BATCH_SIZE)
    batch = images[:BATCH_SIZE], labels[:BATCH_SIZE]

    def trained(precision="float32", source="device", change=lambda trainer: None):
        """A trainer after some steps, and the losses after each."""
        trainer = adapter.Trainer(workload, weights, BATCH_SIZE, 1, precision)
        change(trainer)
        trainer.feed(images, labels, source)
        steps = Steps(lambda: trainer.loss(*batch))
        trainer.train(steps)
        return trainer, steps.seen

    def came(trainer):
        trainer.train(Steps(lambda: None))
        return {"loss": trainer.loss(*batch), "moved": moved(trainer)}

    def moved(trainer):
        changed = trainer.weights()
        return all((changed[key] != weights[key]).any() for key in weights)

    seen, trainer = of_weights(framework, workload, weights, images[:BATCH_SIZE])
    seen["begun_anew"] = begun_anew(framework, workload, weights, (images, labels))
    seen["loss"] = trainer.loss(*batch)
    seen["labels"] = batch[1].tolist()
    dropped = Dropped()
    trainer, seen["host"] = trained(
        source="host", change=lambda trainer: framework.inspector.Inspector(trainer).watch(dropped)
    )
    seen["redrawn"] = dropped.redrawn(sum(isinstance(layer, Dropout) for layer in workload.layers))
    seen["moved"] = moved(trainer)
    trainer.load(weights)
    seen["reloaded"] = trainer.loss(*batch)
    if name == "keras-tensorflow":  # as on a GPU, where `fit` gets the numbers of the available batches
        seen["by_number"] = trained(change=lambda trainer: setattr(trainer, "on_gpu", True))[1]
    if name == "tensorflow":  # as on a GPU, where steps in one call take the batches by number

        def several(place):
            trainer = adapter.Trainer(workload, weights, BATCH_SIZE, 1, "float32", tuning={"steps_per_call": STEPS})
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
            "outcome": checks.outcome(trainer, workload, weights, batch, precision),
            "kernels": framework.inspector.Inspector(trainer).kernels(batch[0]),
            "step_flops": framework.inspector.Inspector(trainer).counted_step_flops(*batch),
            "ceiling": small_ceiling(framework, trainer),
        }
    # With dropout, no loss can be compared with another, and compiling takes a minute.
    same = not any(isinstance(layer, Dropout) for layer in workload.layers)
    seen["tuned"] = tuned(framework, workload, weights, (images, labels), size=BATCH_SIZE, run=came) if same else None

    def without_casts():
        trainer = adapter.Trainer(workload, weights, BATCH_SIZE, 1, "bfloat16")
        return checks.outcome(trainer, workload, weights, batch, "bfloat16")

    seen["planted"] = planted(framework, without_casts)
    return seen


def of_profiler(framework, workload):
    """Number of operators that the profiler followed in so many steps, with the device waited for at both ends."""
    trainer = framework.adapter.Trainer(workload, workload.initial_weights(1), BATCH_SIZE, 1, "float32")
    images = np.random.default_rng(1).random((12 * BATCH_SIZE, *workload.input_shape), np.float32)
    trainer.feed(images, np.zeros(len(images), np.int64), "device")
    seen = {"operators": {}, "measured": split.measured(trainer, framework.inspector, workload, "cpu", 3)}
    if "profile_reason" in seen["measured"]:
        return seen
    for steps in (3, 6):
        with ExitStack() as context:
            pace = split.Followed(framework.inspector.traced("cpu"), steps, context)
            trainer.train(pace)
        seen["operators"][steps] = len(pace.spans)
    return seen


def of_jax(adapter, workload):
    """For each step, true if every weight is there after waiting for the device; and each compilation of a step."""
    import jax  # noqa: PLC0415

    trainer = adapter.Trainer(workload, workload.initial_weights(1), BATCH_SIZE, 1, "float32")
    images = np.random.default_rng(1).random((3 * BATCH_SIZE, *workload.input_shape), np.float32)
    trainer.feed(images, np.zeros(len(images), np.int64), "device")
    compiled: list[str] = []
    log, handler = logging.getLogger("jax"), logging.Handler()
    handler.emit = lambda record: compiled.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    with jax.log_compiles():
        shapes = set(workload.weight_shapes.values())
        steps = Steps(lambda: all(one.is_ready() for one in jax.live_arrays() if one.shape in shapes))
        trainer.train(steps)
    log.removeHandler(handler)
    # Named as its function, `train_step` or `_step`.
    compiled = [one for one in compiled if one.startswith("Compiling") and "_step" in one]
    return {"ready": steps.seen, "compiled": compiled}


def of_framework(framework, name):
    """Everything that depends on no workload; the smallest stands for all."""
    workload, adapter = workloads.load(SMALLEST), framework.adapter
    seen = {"versions": adapter.versions(), "profiler": of_profiler(framework, workload)}
    if adapter.ENVIRONMENT == "jax":
        seen["jax"] = of_jax(adapter, workload)
    try:
        adapter.Trainer(workload, workload.initial_weights(1), BATCH_SIZE, 1, "float32", device="cuda")
    except ValueError as error:
        seen["no_gpu"] = str(error)
    path = catalogue.folder(name) / "samples.py"
    if (catalogue.ROOT / path).is_file():
        samples = importlib.import_module(f"framebench.frameworks.{path.parent.name}.samples")
        seen["gpu_trace"] = samples.gpu_spans() if hasattr(samples, "gpu_spans") else None
        seen["out_of_memory"] = [adapter.out_of_memory(error) for error in [MemoryError(), *samples.out_of_memory()]]
        seen["not_out_of_memory"] = [adapter.out_of_memory(error) for error in [ValueError(), *samples.other_errors()]]
    if adapter.ENVIRONMENT == "pytorch":
        before = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (2**40, before[1]))
        seen["limited"] = [
            adapter.out_of_memory(RuntimeError(f"could not create a primitive{rest}")) for rest in ("", " descriptor")
        ]
        resource.setrlimit(resource.RLIMIT_DATA, before)
    return seen


def main() -> None:
    name, output, *parts = sys.argv[1:]
    framework = Framework(frameworks.load(name), frameworks.inspector(name))
    seen = {}
    for part in parts:
        if part == FRAMEWORK:
            seen[part] = of_framework(framework, name)
        else:
            workload = workloads.load(part)
            seen[part] = (
                of_training(framework, name, workload) if workload.trains else of_inference(framework, workload)
            )
    Path(output).write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main()
