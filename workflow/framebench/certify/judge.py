"""Compares a framework's results with the reference's, and decides whether they are the same."""

from dataclasses import asdict, dataclass
from math import inf, isfinite, sqrt
from statistics import mean, stdev

import numpy as np
from scipy.special import stdtrit

from framebench.certify import problem as given
from framebench.certify.differentiable import Arrays
from framebench.certify.expected import distance
from framebench.certify.observe import Facts, distribution
from framebench.workloads.layers import Dropout, Workload

# A binomial count is further from its mean than this many standard deviations once in 10⁹ times.
DEVIATIONS = 6
# 1/(1 − rate), its product with the value, and our quotient of the two are each rounded once.
SCALE_BOUND = 4 * 2.0**-24
# Chance alone refuses once in a thousand certificates: rarely enough for a set of dozens.
LEARNING_CONFIDENCE = 0.999


@dataclass(frozen=True)
class Check:
    """One thing compared: `difference` may be at most `bound`; null where it is not a finite number."""

    quantity: str
    layer: str
    precision: str
    difference: float | None
    bound: float
    passed: bool
    where: str = ""  # the element with the largest difference, with both values

    @property
    def fault(self) -> str:
        """The difference in words."""
        size = "is not finite" if self.difference is None else f"differs by {self.difference:.2g}"
        place = f" of {self.layer}" if self.layer else ""
        where = f" ({self.where})" if self.where else ""
        return f"{self.precision} {self.quantity}{place} {size}, allowed {self.bound:.2g}{where}".lstrip()


def judge(workload: Workload, expected: tuple[Facts, Arrays], observed: tuple[Facts, Arrays]) -> dict[str, object]:
    """Fields of a certificate: `passed`, `reason` (the first difference, or null), `tuned_reason` and `checks`.

    The first two are about track `default`, without which there is no `tuned`; `tuned_reason` is why that track is
    refused, null where it is not.
    """
    facts, arrays = expected
    seen, seen_arrays = observed
    if failed := facts.get("failed") or seen.get("failed"):
        return {"passed": False, "reason": failed, "tuned_reason": failed, "checks": []}
    checks = [
        *shape_checks(workload, seen),
        *flops_checks(workload, seen),
        *array_checks(workload, facts, arrays, seen_arrays),
        *dropout_checks(workload, seen),
        *learning_checks(facts, seen),
    ]
    fault = first_fault(checks)
    offered = "tuned" in seen.get("tracks", ("tuned",))  # type: ignore[operator]
    tuned = [] if "tuned_failed" in seen or not offered else tuned_checks(workload, facts, arrays, seen_arrays)
    return {
        "passed": fault is None,
        "reason": fault,
        "tuned_reason": fault or seen.get("tuned_failed") or first_fault(tuned),
        "checks": [asdict(check) for check in checks + tuned],
    }


def first_fault(checks: list[Check]) -> str | None:
    return next((check.fault for check in checks if not check.passed), None)


def shape_checks(workload: Workload, seen: Facts) -> list[Check]:
    """Every weight has the spec's shape; the difference is in numbers of parameters."""
    shapes: dict = seen["shapes"]  # type: ignore[assignment]
    checks = []
    for name in sorted({*workload.weight_shapes, *shapes}, key=[*workload.weight_shapes, *shapes].index):
        ours, theirs = workload.weight_shapes.get(name), tuple(shapes.get(name, ()))
        difference = abs(np.prod(ours or 0) - np.prod(theirs or 0))
        where = "" if ours == theirs else f"shape {theirs or 'none'} instead of {ours or 'none'}"
        checks.append(Check("parameters", name, "", float(difference), 0, ours == theirs, where))
    return checks


def flops_checks(workload: Workload, seen: Facts) -> list[Check]:
    """The framework's own counter, where it has one, against the spec; relative."""
    counted = seen["counted_forward_flops_per_sample"]
    if not isinstance(counted, float | int):
        return []
    expected = workload.forward_flops_per_sample
    difference = abs(counted / expected - 1)
    where = f"{counted:,.0f} instead of {expected:,} per image" if difference else ""
    return [Check("FLOPs of the forward pass", "", "", difference, 0, not difference, where)]


def array_checks(workload: Workload, facts: Facts, arrays: Arrays, seen: Arrays) -> list[Check]:
    """Every quantity in both precisions, float64 first."""
    bounds: dict = facts["bounds"]  # type: ignore[assignment]
    return [
        array_check(key, precision, arrays[key], seen.get(f"{precision}/{key}"), bounds[precision][key])
        for precision in given.PRECISIONS
        for key in given.quantities(workload)
    ]


def tuned_checks(workload: Workload, facts: Facts, arrays: Arrays, seen: Arrays) -> list[Check]:
    """The outcome of all steps of track `tuned`, against the bounds of track `default`."""
    bounds: dict = facts["bounds"]  # type: ignore[assignment]
    return [
        array_check(key, name, arrays[key], seen.get(f"{name}/{key}"), bounds[precision][key])
        for precision, name in ((precision, given.tuned(precision)) for precision in given.PRECISIONS)
        for key in given.tuned_quantities(workload)
    ]


def array_check(key: str, precision: str, exact: np.ndarray, array: np.ndarray | None, bound: float) -> Check:
    """One array, or a missing one, against the reference's."""
    quantity, _, layer = key.partition("/")
    if array is None or array.shape != exact.shape:
        shape = "nothing" if array is None else f"shape {array.shape}"
        return Check(quantity, layer, precision, None, bound, False, f"{shape} instead of shape {exact.shape}")
    difference = distance(array, exact)
    passed = difference <= bound
    where = "" if passed else most_different(array, exact)
    return Check(quantity, layer, precision, difference if isfinite(difference) else None, bound, passed, where)


def most_different(array: np.ndarray, exact: np.ndarray) -> str:
    """Index and both values of the element with the largest difference, or of one that is no number."""
    index = np.unravel_index(np.argmax(np.nan_to_num(np.abs(array - exact), nan=inf)), exact.shape)
    place = ", ".join(str(i) for i in index)
    return f"at [{place}] {array[index]:.6g} instead of {exact[index]:.6g}"


def dropout_checks(workload: Workload, seen: Facts) -> list[Check]:
    """The share dropped by each dropout layer over all steps, and the factor that scales the rest."""
    told: list = seen["dropout"]  # type: ignore[assignment]
    rates = [layer.rate for layer in workload.layers if isinstance(layer, Dropout)]
    times = len(rates) * given.DROPOUT_STEPS
    checks = []
    if len(told) != times:
        where = f"called {len(told)} times in {given.DROPOUT_STEPS} training steps instead of {times}"
        return [Check("dropout layers", "", "", abs(len(told) - times), 0, False, where)]
    for i, rate in enumerate(rates):
        calls = told[i :: len(rates)]
        units, dropped = (sum(call[name] for call in calls) for name in ("units", "dropped"))
        share = dropped / units
        bound = DEVIATIONS * sqrt(rate * (1 - rate) / units)
        layer = f"dropout {i + 1}"
        where = f"{share:.4f} instead of {rate}"
        difference = abs(share - rate)
        checks.append(Check("share dropped", layer, "", difference, bound, difference <= bound, where))
    for i, rate in enumerate(rates):
        calls = told[i :: len(rates)]
        scales = [call[name] * (1 - rate) for call in calls for name in ("scale_min", "scale_max")]
        error = max(abs(scale - 1) for scale in scales)
        checks.append(
            Check(
                "scale of what is kept",
                f"dropout {i + 1}",
                "float32",
                error if isfinite(error) else None,
                SCALE_BOUND,
                error <= SCALE_BOUND,
            )
        )
    return checks


def learning_checks(facts: Facts, seen: Facts) -> list[Check]:
    """The mean accuracy over a framework's seeds lies in the range predicted from the reference's own seeds.

    The bound is half the prediction interval for the mean of n further values after m normal ones with standard
    deviation s, t·s·√(1/m + 1/n), t with m − 1 degrees of freedom (Hahn & Meeker, Statistical Intervals, 1991), plus
    one held-out image. Only the reference's spread counts: a net that learns now and then would widen an interval of
    its own. Both share seeds, so the true difference is smaller than the interval assumes.
    """
    if "accuracies" not in facts or "accuracies" not in seen:
        return []
    reference: list[float] = facts["accuracies"]  # type: ignore[assignment]
    framework: list[float] = seen["accuracies"]  # type: ignore[assignment]
    held_out: int = facts["held_out"]  # type: ignore[assignment]
    chance: float = facts["chance"]  # type: ignore[assignment]
    m, n = len(reference), len(framework)
    quantile = float(stdtrit(m - 1, (1 + LEARNING_CONFIDENCE) / 2))
    bound = quantile * stdev(reference) * sqrt(1 / m + 1 / n) + 1 / held_out
    difference = abs(mean(framework) - mean(reference))
    where = f"mean accuracy {mean(framework):.3f} of {n} seeds, reference {mean(reference):.3f} of {m}"
    if mean(reference) - bound <= chance:
        where += ": a net that learns nothing would pass"
    return [Check("accuracy", "", "float32", difference, bound, difference <= bound, where)]


def drawn_differently(workload: Workload, seen: Facts) -> dict[str, object] | None:
    """Initial weights of the framework itself that are distributed differently from the neutral ones; not judged.

    Neutral name → both distributions, for the weights whose standard deviations differ by over a fifth; a sample's own
    error is far below that. None where the framework draws none by itself.
    """
    own: dict | None = seen.get("own_initial_weights")  # type: ignore[assignment]
    if own is None:
        return None
    neutral = {name: distribution(array) for name, array in workload.initial_weights(0).items()}
    return {
        name: {"framework": theirs, "neutral": neutral[name]}
        for name, theirs in own.items()
        if abs(theirs["std"] - neutral[name]["std"]) > 0.2 * max(theirs["std"], neutral[name]["std"])
    }
