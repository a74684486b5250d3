"""Write the certificate of one workload in one framework, as JSON and as a page, whether passed or refused."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from framebench import files, record, workloads
from framebench.certificate import sealed
from framebench.certify import problem as given
from framebench.certify.differentiable import Arrays
from framebench.certify.judge import drawn_differently, judge
from framebench.certify.observe import Facts
from framebench.certify.page import page

OF_FRAMEWORK = (
    "framework_version",
    "backend",
    "tracks",
    "python_version",
    "numpy_version",
    "threads",
    "settings",
    "counted_forward_flops_per_sample",
    "own_initial_weights",
    "dropout",
    "accuracies",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.certify", description=__doc__)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--framework", required=True)
    parser.add_argument("--id", required=True, help="id in the records of this workload and framework")
    parser.add_argument("--lock-digest", required=True)
    parser.add_argument("--sources", nargs="+", required=True, help="the files that are certified")
    parser.add_argument("--problem", type=Path, required=True, metavar="PROBLEM.npz")
    parser.add_argument("--learned", type=Path, required=True, metavar="LEARNED.json")
    parser.add_argument("--observed", type=Path, required=True, metavar="OBSERVED.npz")
    parser.add_argument("--output", type=Path, required=True, metavar="CERTIFICATE.json")
    parser.add_argument("--page", type=Path, required=True, metavar="CERTIFICATE.md")
    options = parser.parse_args()
    try:
        expected, observed = expectation(options.problem, options.learned), read(options.observed)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{options.workload} in {options.framework}: an input is missing or damaged: {error}")
    certificate = sealed(certify(options, expected, observed))
    record.write(options.output, certificate)
    with files.whole(options.page, encoding="utf-8") as file:
        file.write(page(certificate))
    if not certificate["passed"]:
        print(
            f"{options.workload} in {options.framework} is not certified: {certificate['reason']} (see {options.page})",
            file=sys.stderr,
        )
    elif certificate["tuned_reason"]:
        print(
            f"track tuned of {options.workload} in {options.framework} is not certified: {certificate['tuned_reason']}"
            f" (see {options.page})",
            file=sys.stderr,
        )


def certify(
    options: argparse.Namespace, expected: tuple[Facts, Arrays], observed: tuple[Facts, Arrays]
) -> dict[str, object]:
    """The certificate: the verdict, its subject and its circumstances."""
    workload = workloads.load(options.workload)
    facts, seen = expected[0], observed[0]
    judged = judge(workload, expected, observed)
    return {
        "id": options.id,
        "workload": options.workload,
        "framework": options.framework,
        "passed": judged["passed"],
        "reason": judged["reason"],
        "tuned_reason": judged["tuned_reason"],
        "lock_digest": options.lock_digest,
        "seed": facts["seed"],
        "precisions": list(given.PRECISIONS),
        "sources": options.sources,
        **{name: seen.get(name) for name in OF_FRAMEWORK},
        "parameters": workload.parameters,
        "flops_per_sample": workload.flops_per_sample,
        "reference_accuracies": facts.get("accuracies"),
        "learning_steps": facts.get("learning_steps"),
        "own_initial_weights_that_differ": drawn_differently(workload, seen),
        "checks": judged["checks"],
    }


def expectation(problem: Path, learned: Path) -> tuple[Facts, Arrays]:
    """Facts and arrays of the reference."""
    facts, arrays = read(problem)
    facts |= json.loads(learned.read_text(encoding="utf-8"))
    found = {name.removeprefix(given.EXPECTED): array for name, array in arrays.items() if given.EXPECTED in name}
    return facts, found


def read(path: Path) -> tuple[Facts, Arrays]:
    """Facts and arrays of a file written by `observe` or `expected`."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(file["facts"].item()), {name: file[name] for name in file.files if name != "facts"}


if __name__ == "__main__":
    main()
