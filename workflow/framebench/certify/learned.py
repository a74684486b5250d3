"""Accuracy of the reference after the lesson for every framework, seed by seed: one file for all frameworks."""

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from framebench import record, workloads
from framebench.certify import problem as given
from framebench.certify import reference
from framebench.certify.arithmetic import Arithmetic
from framebench.certify.observe import Facts
from framebench.certify.problem import Lesson
from framebench.workloads.layers import Workload


def learned(workload: Workload, lesson: Lesson, at_a_time: int) -> Facts:
    """Accuracies of all seeds, so many `at_a_time`, and the numbers to judge them by."""
    with ThreadPoolExecutor(at_a_time) as pool:
        accuracies = list(pool.map(partial(accuracy, workload, lesson), given.REFERENCE_SEEDS))
    return {
        "accuracies": accuracies,
        "learning_steps": lesson.steps,
        "held_out": len(lesson.held_out_labels),
        "chance": 1 / len(set(lesson.held_out_labels)),
    }


def accuracy(workload: Workload, lesson: Lesson, seed: int) -> float:
    """Like `observe.accuracy`, by the reference, in float32; dropout draws from its own generator."""
    batches = given.batched(lesson.images, lesson.labels, given.LEARNING_BATCH_SIZE)
    weights = reference.train(
        workload,
        given.learning_weights(workload, seed),
        islice(cycle(batches), lesson.steps),
        Arithmetic(),
        lambda *_: None,
        dropout=np.random.Generator(np.random.PCG64([seed, 2])),
    )
    tested = given.batched(lesson.held_out_images, lesson.held_out_labels, given.LEARNING_BATCH_SIZE)
    logits = [reference.forward(workload, weights, images, Arithmetic())[0] for images, _ in tested]
    return given.accuracy(np.concatenate(logits), lesson.held_out_labels)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.certify.learned", description=__doc__)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--data", type=Path, required=True, help="npz of images to learn from")
    parser.add_argument("--at-a-time", type=int, required=True, help="number of seeds at a time, each on a core")
    parser.add_argument("--output", type=Path, required=True, metavar="LEARNED.json")
    options = parser.parse_args()
    facts: Facts = {}
    try:
        workload = given.certified(workloads.load(options.workload))
        if lesson := given.lesson(workload, options.data):
            facts = learned(workload, lesson, options.at_a_time)
    except reference.ReferenceError as error:
        facts["failed"] = str(error)
    record.write(options.output, facts)


if __name__ == "__main__":
    main()
