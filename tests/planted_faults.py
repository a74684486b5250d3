"""Plants every fault of `integration/planted.py` in every framework and tells how far it is from its bound.

`PYTHONPATH=workflow python tests/planted_faults.py --output TABLE.md` writes the table.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from framebench import catalogue, environments, workloads
from framebench.certify import expected, observe
from framebench.certify import problem as given
from framebench.certify.__main__ import read
from framebench.certify.judge import judge
from framebench.certify.reference import Arithmetic

PLANTED = Path(__file__).parent / "integration" / "planted.py"
HEADING = """# Planted faults: each is refused by the certificate

Made by `PYTHONPATH=workflow python tests/planted_faults.py --output docs/planted-faults.md` in the test environment:
each fault is planted alone, through the real adapter, and the first difference that the certificate names is shown
with its size and its bound.

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


def prepare(folder: Path, workload: str, seed: int) -> None:
    """Write the problem and what the reference expects of it."""
    certified = given.certified(workloads.load(workload))
    problem = expected.choose(certified, seed)
    given.write_problem(folder / f"{workload}.npz", problem)
    exact = expected.quantities(certified, problem, Arithmetic())
    observe.write(folder / f"{workload}-expected.npz", {"bounds": expected.bounds(certified, problem, exact)}, exact)


def plant(folder: Path, framework: str, only: str = "") -> None:
    """Observe every fault, or the one called `only`, in the framework's own environment."""
    prefix = catalogue.ROOT / environments.prefix(environments.lock_of(framework, "cpu"))
    subprocess.run(
        [prefix / "bin" / "python", "-P", PLANTED, framework, folder, *([only] if only else [])],
        env=os.environ
        | {
            "PYTHONPATH": str(catalogue.ROOT / "workflow"),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "-1",
        },
        check=True,
        capture_output=True,
    )


def outcomes(folder: Path, framework: str) -> Iterator[Outcome]:
    """What the judge says of everything that was observed."""
    for path in sorted((folder / framework).glob("*/*.npz")):
        workload = path.parent.name
        judged = judge(given.certified(workloads.load(workload)), read(folder / f"{workload}-expected.npz"), read(path))
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for workload in ("article-cnn", "vgg-cnn"):
            prepare(folder, workload, seed=1)
        found: list[Outcome] = []
        for framework in catalogue.frameworks():
            plant(folder, framework)
            found += outcomes(folder, framework)
    lines = [
        "| fault | framework | workload | differs first | in | size | bound |",
        "|---|---|---|---|---|---|---|",
        *(row(outcome) for outcome in sorted(found, key=lambda one: (one.fault != "none", one.fault))),
    ]
    options.output.write_text(HEADING + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
