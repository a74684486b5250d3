"""A proof in words: the outcome in one sentence, and the differences of a pair that is equal but for them."""

from collections.abc import Iterator, Mapping
from typing import Any

SIDES = (("keras", "keras.py"), ("pytorch", "pytorch.py"))


def outcome(proof: Mapping[str, Any]) -> str:
    """The outcome in one sentence, without a full stop."""
    kinds = list(dict.fromkeys(one["kind"] for one in proof["differences"]))
    match proof["outcome"]:
        case "equal":
            return "equal"
        case "equal_but":
            return f"equal but for {', '.join(kinds)}"
    first = proof["first_different"]
    places = [f"{name!r} in {file}" for side, file in SIDES if (name := first[side]) is not None]
    where = f", first at layer {', '.join(places)}" if places else ""
    return f"different{where}" + (f": {proof['cause']}" if proof["cause"] else "")


def differences(proof: Mapping[str, Any]) -> Iterator[str]:
    """A line for each difference, those of one kind and equal values together."""
    seen: dict[tuple[str, str, str, str], list[str]] = {}
    for one in proof["differences"]:
        values = (shown(one["keras_value"]), shown(one["pytorch_value"]))
        place = " / ".join(str(one[side]) for side, _ in SIDES if one[side])
        seen.setdefault((one["kind"], *values, one["note"]), []).append(place)
    for (kind, keras, pytorch, note), places in seen.items():
        others = f" and {len(places) - 1} more" if len(places) > 1 else ""
        at = f" at {places[0]}{others}" if places[0] else ""
        yield f"{kind}: {keras} in Keras, {pytorch} in PyTorch{at} ({note})"


def shown(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def summary(proof: Mapping[str, Any]) -> str:
    """Numbers of matches and checks, in one line."""
    passed = sum(one["passed"] for one in proof["checks"])
    checks = f", {passed} of {len(proof['checks'])} checks passed" if proof["checks"] else ""
    on = f" on Keras's backends {', '.join(proof['backends'])}" if proof.get("backends") else ""
    return f"{len(proof['matches'])} layers and parts of layers matched{checks}{on}, in {proof['seconds']:.0f} s"
