"""The Keras file on each of Keras's backends, in one process each, compared through files."""

import tempfile
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from framebench.plan.refusals import ConfigError
from framebench.prove import place, process

# Framework whose environment has the backend; the first gives weights and bounds.
FRAMEWORKS = {"torch": "keras-torch", "tensorflow": "keras-tensorflow", "jax": "keras-jax"}
# Above this bound rounding alone decides, as for a bias before a norm, whose gradient is zero in theory.
DECIDED_BY_ROUNDING = 1e-3


def compared(request: Mapping[str, Any], log: Path, time_limit_s: float) -> dict[str, Any]:
    """`checks` of every other backend against PyTorch, `backends` with their versions, and those left out.

    Raises ConfigError if a backend refuses the model, ProcessError if it gives no answer.
    """
    told: dict[str, Any] = {"backends": {}, "left_out": [], "checks": []}
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, dict[str, np.ndarray]] = {}
        for backend, framework in FRAMEWORKS.items():
            try:
                python = place.of(framework, Path(request["folder"]), log).python
            except ConfigError as error:
                told["left_out"].append(str(error))
                continue
            arrays = Path(folder, f"{backend}.npz")
            asked = {**request, "arrays": str(arrays), "weights_file": f"{folder}/weights.npz"}
            answer = process.answer(python, "backend", asked, backend=backend, log=log, time_limit_s=time_limit_s)
            if refused := answer.get("refused"):
                below = f"\n{answer['traceback']}" if answer["traceback"] else ""
                raise ConfigError(f"{refused} (on {backend}){below}")
            told["backends"][backend] = answer
            with np.load(arrays) as file:
                found[backend] = {name.replace("\\", "/"): file[name] for name in file.files}
        reference = found.pop("torch")
        for backend, seen in found.items():
            told["checks"] += checks(backend, reference, seen)
    return told


def checks(
    backend: str, reference: Mapping[str, np.ndarray], seen: Mapping[str, np.ndarray]
) -> Iterator[dict[str, Any]]:
    """Each quantity of a backend against PyTorch's, within PyTorch's own rounding."""
    for name, exact in reference.items():
        if name.startswith("bound/"):
            continue
        bound, size = float(reference[f"bound/{name}"]), float(np.linalg.norm(exact))
        off = float(np.linalg.norm(seen[name] - exact))
        difference = off / size if size else off
        open_question = not bound <= DECIDED_BY_ROUNDING or not size
        quantity, _, weight = name.partition("/")
        yield {
            "quantity": f"{quantity} of Keras on {backend}",
            "layer": weight.partition(" ")[2],
            "precision": "float64",
            "difference": difference if isfinite(difference) else None,
            "bound": bound if isfinite(bound) else 1.0,
            "passed": open_question or difference <= bound,
            "where": "zero in theory, not compared" if open_question else "",
        }


def with_checks(proof: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """A proof with the backends added: their checks, and another outcome if one fails."""
    changed = {**proof, "backends": told["backends"], "checks": [*proof["checks"], *told["checks"]]}
    changed["settled"] = [*proof["settled"], *(f"A backend of Keras is left out: {why}" for why in told["left_out"])]
    changed["seconds"] = proof["seconds"] + sum(one["seconds"] for one in told["backends"].values())
    if failed := next((one for one in told["checks"] if not one["passed"]), None):
        layer = failed["layer"].partition("/")[0] or None
        place = {"keras": layer, "pytorch": None}
        changed |= {"outcome": "different", "first_different": place, "cause": f"{failed['quantity']} differs"}
    return changed
