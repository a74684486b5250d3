"""Record what a framework computes for a workload, inside that framework's environment, through its adapter.

A failure to build or run is an observation too: the file then gives the reason, and this command still exits 0.
"""

import argparse
import json
import platform
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from framebench import files, frameworks, workloads
from framebench.certify import problem as given
from framebench.certify.problem import SNAPSHOTS, Lesson, Problem
from framebench.frameworks.contract import Framework, Trainer, Weights, furthest
from framebench.plain import plain
from framebench.workloads.layers import Workload

Facts = dict[str, object]


class Steps:
    """A pace that ends training after `count` steps and looks at each one."""

    def __init__(self, count: int, after: Callable[[int], None] = lambda step: None) -> None:
        self.count = count
        self.after = after
        self.taken = 0

    def over(self, synchronise: Callable[[], object], steps: int = 1) -> bool:
        synchronise()
        self.taken += steps
        self.after(self.taken)
        return self.taken == self.count


class Seen:
    """Observations of training steps: every loss, the gradients of the first step, and the dropout layers."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.first_gradients: Weights = {}
        self.dropouts: list[dict[str, float]] = []

    def loss(self, value: np.ndarray) -> None:
        self.losses.append(float(value))

    def gradients(self, gradients: Weights) -> None:
        self.first_gradients = self.first_gradients or {name: array.copy() for name, array in gradients.items()}

    def dropout(self, before: np.ndarray, after: np.ndarray) -> None:
        alive = before != 0
        kept = alive & (after != 0)
        scale = after[kept] / before[kept]
        self.dropouts.append(
            {
                "units": int(alive.sum()),
                "dropped": int(alive.sum() - kept.sum()),
                "scale_min": float(scale.min(initial=np.inf)),
                "scale_max": float(scale.max(initial=-np.inf)),
            }
        )


def observe(
    framework: Framework,
    workload: Workload,
    problem: Problem,
    lesson: Lesson | None,
    threads: int,
) -> tuple[Facts, dict[str, np.ndarray]]:
    """All contents of a certificate: facts, and arrays under `<precision>/<quantity>`.

    A `lesson` of None leaves the learning out. Errors of the adapter or the framework are passed on.
    """
    workload = given.certified(workload)
    facts: Facts = {}
    arrays: dict[str, np.ndarray] = {}

    # First, as it names the layer where the model file does not fit.
    for precision in given.PRECISIONS:
        seen = quantities(framework, workload, problem, threads, precision)
        arrays |= {f"{precision}/{name}": array for name, array in seen.items()}
    trainer = framework.adapter.Trainer(workload, problem.weights, given.BATCH_SIZE, threads, "float32")
    images, _ = problem.batches("float32")[0]
    facts["shapes"] = {name: list(array.shape) for name, array in trainer.weights().items()}
    facts["settings"] = trainer.settings()
    inspector = framework.inspector.Inspector(trainer)
    counted = inspector.counted_flops(images)
    facts["counted_forward_flops_per_sample"] = None if counted is None else counted / given.BATCH_SIZE
    own = inspector.own_initial_weights()
    facts["own_initial_weights"] = own and {name: distribution(array) for name, array in own.items()}
    facts["dropout"] = dropout(framework, workload, problem, threads) if workload.trains else []
    if lesson:
        start = time.perf_counter()
        facts["accuracies"] = accuracies(framework, workload, lesson, threads)
        facts["learned_in_s"] = time.perf_counter() - start
    return facts, arrays


def quantities(
    framework: Framework, workload: Workload, problem: Problem, threads: int, precision: str
) -> dict[str, np.ndarray]:
    """The arrays named by `problem.quantities`, computed in one precision, dropout off in training."""
    weights = {name: array.astype(precision) for name, array in problem.weights.items()}
    batches = problem.batches(precision)
    trainer = framework.adapter.Trainer(workload, weights, given.BATCH_SIZE, threads, precision)
    inspector = framework.inspector.Inspector(trainer)
    # Evaluation first, while the dropout layers are still those of the model file.
    reaching = inspector.layer_inputs(batches[0][0][:1])
    for layer in given.layers(workload.weight_shapes):
        if layer not in reaching:
            raise ValueError(f"layer {layer}: the model file does not use it")
    seen = {given.reaching(layer): array for layer, array in reaching.items()}
    images = given.typed(problem.images, precision)
    # All batches at once: a call of `predict` costs Keras far more than the computation here.
    logits = trainer.logits(images)
    trainer.feed(images, problem.labels, given.INPUTS[precision])
    if not workload.trains:
        return seen | {"evaluation output": logits, "output": output(trainer, len(batches))}
    seen |= {
        "evaluation logits": logits,
        "evaluation loss": np.array([trainer.loss(some, labels) for some, labels in batches]),
    }
    told = Seen()
    inspector.without_dropout()
    inspector.watch(told)

    def snapshot(step: int) -> None:
        if step in SNAPSHOTS:
            for name, array in trainer.weights().items():
                seen[f"{given.update(step)}/{name}"] = array.astype(np.float64) - weights[name]

    trainer.train(Steps(given.STEPS, after=snapshot))
    seen["training loss"] = np.array(told.losses)
    return seen | {f"gradient/{name}": array for name, array in told.first_gradients.items()}


def output(trainer: Trainer, batches: int) -> np.ndarray:
    """The outputs of a net for inference, for so many batches."""
    found: list[np.ndarray] = []
    trainer.infer(Steps(batches), found.append)
    return np.concatenate(found)


def tuned(framework: Framework, workload: Workload, problem: Problem, threads: int) -> dict[str, np.ndarray]:
    """The outcome of all steps, with every setting of track `tuned` away from its default at once.

    Arrays under `<problem.tuned(precision)>/<quantity>`. The steps are not observed, since fused ones, or many in one
    call, cannot be looked into. An allocator is left out: it belongs to the process and computes nothing.
    """
    workload = given.certified(workload)
    settings = {name: value for name, value in furthest(framework.adapter, workload).items() if name != "allocator"}
    found = {}
    for precision, input in given.INPUTS.items():
        weights = {name: array.astype(precision) for name, array in problem.weights.items()}
        trainer = framework.adapter.Trainer(workload, weights, given.BATCH_SIZE, threads, precision, tuning=settings)
        if not workload.trains:
            trainer.feed(given.typed(problem.images, precision), problem.labels, input)
            found[f"{given.tuned(precision)}/output"] = output(trainer, len(problem.batches(precision)))
            continue
        framework.inspector.Inspector(trainer).without_dropout()
        trainer.feed(given.typed(problem.images, precision), problem.labels, input)
        trainer.train(Steps(given.STEPS))
        for name, array in trainer.weights().items():
            update = array.astype(np.float64) - weights[name]
            found[f"{given.tuned(precision)}/{given.update(given.STEPS)}/{name}"] = update
    return found


def dropout(framework: Framework, workload: Workload, problem: Problem, threads: int) -> list[dict[str, float]]:
    """Effect of the dropout layers in training steps as they are measured, layer by layer and step by step."""
    trainer = framework.adapter.Trainer(workload, problem.weights, given.DROPOUT_BATCH_SIZE, threads, "float32")
    told = Seen()
    framework.inspector.Inspector(trainer).watch(told)
    count = len(problem.labels) // given.DROPOUT_BATCH_SIZE * given.DROPOUT_BATCH_SIZE
    trainer.feed(problem.images[:count], problem.labels[:count], "device")
    trainer.train(Steps(given.DROPOUT_STEPS))
    return told.dropouts


def accuracies(framework: Framework, workload: Workload, lesson: Lesson, threads: int) -> list[float]:
    """Share of held-out images that are classified correctly after learning from the weights of each seed."""
    seeds = [given.learning_weights(workload, seed) for seed in given.LEARNING_SEEDS]
    # One trainer for all seeds, as each trainer is traced and compiled anew.
    trainer: Trainer = framework.adapter.Trainer(workload, seeds[0], given.LEARNING_BATCH_SIZE, threads, "float32")
    found = []
    for weights in seeds:
        trainer.load(weights)
        trainer.feed(lesson.images, lesson.labels, "device")
        trainer.train(Steps(lesson.steps))
        found.append(given.accuracy(trainer.logits(lesson.held_out_images), lesson.held_out_labels))
    return found


def distribution(array: np.ndarray) -> dict[str, float]:
    return {
        "mean": float(array.mean()),
        "std": float(array.std()),
        "min": float(array.min()),
        "max": float(array.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.certify.observe", description=__doc__)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--framework", required=True)
    parser.add_argument("--problem", type=Path, required=True, help="npz written by framebench.certify.expected")
    parser.add_argument("--threads", type=int, required=True, help="CPU threads for the framework")
    parser.add_argument("--tuned", action="store_true", help="prove track tuned too, where the framework has it")
    parser.add_argument("--data", type=Path, required=True, help="npz with images and labels, to learn from")
    parser.add_argument("--output", type=Path, required=True, metavar="OBSERVED.npz")
    options = parser.parse_args()
    start = time.perf_counter()
    facts: Facts = {
        "threads": options.threads,
        "python_version": platform.python_version(),
        "numpy_version": np.__version__,
    }
    arrays: dict[str, np.ndarray] = {}
    try:
        workload, problem = workloads.load(options.workload), given.read_problem(options.problem)
        adapter, lesson = frameworks.load(options.framework), given.lesson(workload, options.data)
        facts |= adapter.versions() | {"tracks": [one for one in adapter.TRACKS if one != "tuned" or options.tuned]}
        framework = Framework(adapter, frameworks.inspector(options.framework))
        observed, arrays = observe(framework, workload, problem, lesson, options.threads)
        facts |= observed
    except Exception as error:
        traceback.print_exc()
        facts["failed"] = failure(options.workload, options.framework, error)
    else:
        if options.tuned and "tuned" in adapter.TRACKS:
            try:
                arrays |= tuned(framework, workload, problem, options.threads)
            except Exception as error:
                traceback.print_exc()
                facts["tuned_failed"] = failure(options.workload, options.framework, error)
    facts["observed_in_s"] = time.perf_counter() - start
    write(options.output, facts, arrays)


def failure(workload: str, framework: str, error: Exception) -> str:
    """One line: the part that could not be run, and the reason given by the framework or adapter."""
    reason = str(error).strip()
    if reason.startswith("in user code:"):  # TensorFlow puts the path to the error first
        reason = reason.splitlines()[-1].strip().removeprefix(f"{type(error).__name__}: ")
    return f"{workload} in {framework}: {type(error).__name__}: {plain(reason)[:500]}"


def write(path: Path, facts: Facts, arrays: dict[str, np.ndarray]) -> None:
    """One npz with the arrays and, under `facts`, the facts as JSON."""
    with files.whole(path, "wb") as file:
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
