"""Keras's backends are compared quantity by quantity, within the rounding of the first."""

import numpy as np
import pytest

from framebench.prove import backends

pytestmark = pytest.mark.check

LOGITS = np.array([1.0, 2.0])
REFERENCE = {
    "evaluation logits": LOGITS,
    "bound/evaluation logits": np.array(1e-6),
    "update after 1 step/0 net/conv/bias": np.zeros(2),
    "bound/update after 1 step/0 net/conv/bias": np.array(1e-6),
}
PROOF = {"outcome": "equal", "first_different": None, "cause": None, "checks": [], "settled": [], "seconds": 1.0}


def judged(**seen: float) -> list[dict]:
    moved = {name: array + seen.get("by", 0.0) for name, array in REFERENCE.items() if "bound" not in name}
    return list(backends.checks("jax", REFERENCE, moved))


def test_backend_within_the_bound_passes_and_one_beyond_it_fails():
    assert [one["passed"] for one in judged(by=1e-7)] == [True, True]
    assert [one["passed"] for one in judged(by=1e-3)] == [False, True]


def test_quantity_that_is_zero_in_theory_is_not_compared():
    assert judged(by=1.0)[1]["where"] == "zero in theory, not compared"


def test_value_that_is_not_finite_fails():
    assert judged(by=float("nan"))[0] | {"bound": 0} == {
        "quantity": "evaluation logits of Keras on jax",
        "layer": "",
        "precision": "float64",
        "difference": None,
        "bound": 0,
        "passed": False,
        "where": "",
    }


def test_failed_backend_makes_the_models_different():
    told = {"backends": {"jax": {"seconds": 2.0}}, "left_out": ["tensorflow"], "checks": judged(by=1e-3)}
    proof = backends.with_checks(PROOF, told)
    assert (proof["outcome"], proof["cause"]) == ("different", "evaluation logits of Keras on jax differs")
    assert proof["seconds"] == 3.0 and proof["settled"] == ["A backend of Keras is left out: tensorflow"]
