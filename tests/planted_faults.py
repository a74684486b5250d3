"""Plants every fault of `integration/planted.py` in every framework and tells how far it is from its bound.

`PYTHONPATH=workflow python tests/planted_faults.py --output TABLE.md` writes the table.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from framebench import workloads
from framebench.certify.__main__ import expectation, read
from framebench.certify.judge import judge
from framebench.data.synthetic_images import large_images, synthetic_images
from framebench.data.synthetic_reviews import synthetic_reviews
from framebench.plan import catalogue, environments

SYNTHETIC = {"images": synthetic_images, "large-images": large_images, "reviews": synthetic_reviews}
SAMPLES = 4000  # in ten classes, of which the lesson takes some
# Workload → samples to learn from. gru-imdb learns nothing here: that takes a minute in each framework.
TRAINING = {"article-cnn": SAMPLES, "vgg-cnn": SAMPLES, "gru-imdb": 0}
PLANTED = Path(__file__).parent / "integration" / "planted.py"
HEADING = """# Planted faults: each is refused by the certificate

Made by `PYTHONPATH=workflow python tests/planted_faults.py --output docs/planted-faults.md` in the test environment:
each fault is planted alone, through the real adapter, and the first difference that the certificate names is shown
with its size and its bound. In `jax`, `keras-jax` and `keras-torch` one of each kind is planted; with `--everything`,
all are.

"""


@dataclass(frozen=True)
class Outcome:
    """What the judge said of one observation."""

    framework: str
    workload: str
    fault: str
    passed: bool
    reason: str | None
    check: dict | None  # the first that failed


def prepare(folder: Path, workload: str, seed: int, samples: int) -> None:
    """Write what the reference gives and expects, and samples to learn from; without any, nothing is learned."""
    kind = workloads.load(workload).data
    made, labels = SYNTHETIC[kind](samples, seed=1)
    np.savez(folder / f"{kind}.npz", samples=made, labels=labels)
    commands: dict[str, dict[str, object]] = {
        "expected": {"--seed": seed, "--output": folder / f"{workload}.npz"},
        "learned": {
            "--data": folder / f"{kind}.npz",
            "--at-a-time": os.cpu_count(),
            "--output": folder / f"{workload}.json",
        },
    }
    for command, options in commands.items():
        arguments = map(str, chain(("--workload", workload), *options.items()))
        subprocess.run(
            [sys.executable, "-P", "-m", f"framebench.certify.{command}", *arguments],
            env=os.environ | {"PYTHONPATH": str(catalogue.ROOT / "workflow"), "OPENBLAS_NUM_THREADS": "1"},
            check=True,
        )


def declared(framework: str, constant: str) -> tuple[str, ...]:
    """Names that a framework's faults.py declares; none where it does not, or where there is no such file."""
    path = catalogue.folder(framework) / "faults.py"
    return catalogue.declared(path).get(constant, ()) if (catalogue.ROOT / path).is_file() else ()


def plant(framework: str, *folders: Path, only: Sequence[str] = ()) -> None:
    """Observe every fault, or those called so, in the framework's own environment, for each folder's problems."""
    prefix = catalogue.ROOT / environments.prefix(environments.lock_of(framework, "cpu"))
    subprocess.run(
        [prefix / "bin" / "python", "-P", PLANTED, framework, "\n".join(only), *folders],
        env=os.environ
        | {
            "PYTHONPATH": str(catalogue.ROOT / "workflow"),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "-1",
            "OMP_WAIT_POLICY": "PASSIVE",
        },
        check=True,
        capture_output=True,
    )


def plant_all(
    folder: Path, only: Mapping[str, Sequence[str]], samples_of: Mapping[str, int] = TRAINING
) -> list[Outcome]:
    """Every fault of some workloads in every framework, or `only` those that are named for it.

    `samples_of`: workload → how many samples there are to learn from. Two frameworks at a time, as they import, trace
    and compile on one core each.
    """
    for workload, samples in samples_of.items():
        prepare(folder, workload, seed=1, samples=samples)
    frameworks = catalogue.frameworks()

    def planted(framework: str) -> None:
        plant(framework, folder, only=only.get(framework, ()))

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(planted, frameworks):
            pass  # or raise what was raised there
    return [outcome for framework in frameworks for outcome in outcomes(folder, framework)]


def outcomes(folder: Path, framework: str) -> Iterator[Outcome]:
    """What the judge says of everything that was observed."""
    for of_workload in sorted((folder / framework).iterdir()):
        workload = of_workload.name
        expected = expectation(folder / f"{workload}.npz", folder / f"{workload}.json")
        for path in sorted(of_workload.glob("*.npz")):
            judged = judge(workloads.load(workload), expected, read(path))
            first = next((check for check in judged["checks"] if not check["passed"]), None)
            yield Outcome(framework, workload, path.stem, judged["passed"], judged["reason"], first)


def row(outcome: Outcome) -> str:
    """A row of the table: what was planted, and what the certificate found first."""
    cells = [outcome.fault, outcome.framework, outcome.workload]
    if outcome.passed:
        cells += ["passed", "", "", ""]
    elif outcome.check is None:
        cells += ["cannot be run", outcome.reason.partition(": ")[2].replace("|", "¦")[:160], "", ""]
    else:
        check = outcome.check
        size = "not finite" if check["difference"] is None else f"{check['difference']:.1e}"
        quantity = f"{check['precision']} {check['quantity']}".strip()
        cells += [quantity, check["layer"], size, f"{check['bound']:.1e}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--everything", action="store_true", help="every fault in every framework")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        only = {} if options.everything else {name: declared(name, "IN_TABLE") for name in catalogue.frameworks()}
        found = plant_all(Path(name), only, TRAINING | {"resnet50-features": 0})
    lines = [
        "| fault | framework | workload | differs first | in | size | bound |",
        "|---|---|---|---|---|---|---|",
        *(row(outcome) for outcome in sorted(found, key=lambda one: (one.fault != "none", one.fault))),
    ]
    options.output.write_text(HEADING + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
