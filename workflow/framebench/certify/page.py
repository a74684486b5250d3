"""A certificate as a page that a person checks in a minute."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

# Circumstances of a certificate, as far as it has them.
CIRCUMSTANCES = (
    "outcome",
    "folder_digest",
    "framework_version",
    "backend",
    "python_version",
    "numpy_version",
    "lock_digest",
    "threads",
    "seed",
)


def page(certificate: dict) -> str:
    """Markdown: the verdict, a row per quantity and precision with its worst layer, and the circumstances."""
    verdict = "**passed**" if certificate["passed"] else f"**refused**: {certificate['reason']}"
    if certificate["passed"] and certificate["tuned_reason"]:
        verdict += f", but for track tuned **refused**: {certificate['tuned_reason']}"
    # None are known where the framework could not be imported.
    tracks = f" of track {' and '.join(certificate['tracks'])}" if certificate.get("tracks") else ""
    lines = [
        f"# {certificate['workload']} in {certificate['framework']}: the same function as the reference?",
        "",
        f"Certificate `{certificate['id']}`{tracks} {verdict}",
        "",
    ]
    if certificate["checks"]:
        lines += [
            "| precision | quantity | compared | largest difference | in | bound | |",
            "|---|---|---|---|---|---|---|",
            *rows(certificate["checks"]),
            "",
            "The row of a quantity shows the layer that comes nearest to its bound. Differences of arrays "
            "are ‖framework − reference‖ / ‖reference‖; those of shares and accuracies absolute. The "
            "bounds follow from the arithmetic: `workflow/framebench/certify/expected.py`.",
            "",
        ]
    lines += [*own_weights(certificate), *circumstances(certificate)]
    return "\n".join(lines) + "\n"


def rows(checks: list[dict]) -> Iterable[str]:
    for one in nearest(checks):
        difference = "not finite" if one.difference is None else f"{one.difference:.2g}"
        compared = f"{one.layers} layer{'s' if one.layers > 1 else ''}" if one.layers else "all"
        passed = "pass" if one.passed else "**FAIL**"
        cells = [one.precision, one.quantity, compared, difference, one.place, f"{one.bound:.2g}", passed]
        yield f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Nearest:
    """The worst of all layers in which a quantity was compared: the one nearest to its bound."""

    precision: str
    quantity: str
    layers: int  # compared layers; 0 of a quantity without any
    difference: float | None  # None: not finite
    place: str
    bound: float
    passed: bool  # by every layer


def nearest(checks: list[dict]) -> Iterable[Nearest]:
    """One per quantity and precision, in the order of the checks of a certificate."""
    for (precision, quantity), group in groupby(checks, lambda check: (check["precision"], check["quantity"])):
        members = list(group)
        worst = max(members, key=_nearness)
        yield Nearest(
            precision,
            quantity,
            len(members) if worst["layer"] else 0,
            worst["difference"],
            "; ".join(filter(None, [worst["layer"], worst["where"]])),
            worst["bound"],
            all(member["passed"] for member in members),
        )


def _nearness(check: dict) -> float:
    """The difference of a check in units of its bound, over 1 when it fails."""
    if check["difference"] is None:
        return float("inf")
    return check["difference"] / check["bound"] if check["bound"] else float(not check["passed"])


def own_weights(certificate: dict) -> Iterable[str]:
    different = certificate["own_initial_weights_that_differ"]
    if different is None:
        yield "The framework draws no initial weights by itself; the neutral ones are used."
    elif not different:
        yield "By itself the framework would draw initial weights distributed as the neutral ones."
    else:
        yield "By itself the framework would draw these otherwise (the neutral ones are used):"
        yield ""
        yield "| weights | framework: mean ± standard deviation | neutral |"
        yield "|---|---|---|"
        for name, both in different.items():
            framework, neutral = (f"{one['mean']:.2g} ± {one['std']:.2g}" for one in both.values())
            yield f"| {name} | {framework} | {neutral} |"
    yield ""


def circumstances(certificate: dict) -> Iterable[str]:
    yield "; ".join(f"{name.replace('_', ' ')} {certificate[name]}" for name in CIRCUMSTANCES if certificate.get(name))
    yield ""
    yield "Proved for these files: " + ", ".join(f"`{path}`" for path in certificate["sources"])
