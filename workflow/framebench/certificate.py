"""The certificate of a workload in a framework, and the conditions under which its file counts."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

SCHEMA = Path(__file__).parents[1] / "schemas" / "certificate.schema.json"
DIGEST = "digest"
NOT_SEALED = (DIGEST, "machine")  # added by a merge
WIDER = 1.5  # largest ratio by which two machines may round the bounds of one problem differently


def sealed(body: Mapping[str, Any]) -> dict[str, Any]:
    """A certificate with this body, and its digest."""
    return {**body, DIGEST: digest(body)}


def digest(certificate: Mapping[str, Any]) -> str:
    """Digest of a certificate, 64 hex digits, over every value except the digest itself."""
    body = {name: value for name, value in certificate.items() if name not in NOT_SEALED}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def parsed(content: bytes, workload: str, framework: str) -> dict[str, Any]:
    """Parse the file found at the place of a workload's certificate in a framework.

    A certificate that does not count comes back with `passed` false, and with the fault in both reasons. Raises
    ValueError, in one line, where the bytes are no certificate.
    """
    try:
        certificate = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    if unfit := best_match(
        Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).iter_errors(certificate)
    ):
        raise ValueError(" ".join(f"{unfit.json_path}: {unfit.message}".split())[:300])
    if wrong := fault(certificate, workload, framework):
        return certificate | {"passed": False, "reason": wrong, "tuned_reason": wrong}
    return certificate


def fault(certificate: Mapping[str, Any], workload: str, framework: str) -> str | None:
    """The reason why a certificate does not count, whatever its verdict; None where it counts."""
    of = certificate["workload"], certificate["framework"]
    if of != (workload, framework):
        return f"the certificate is that of {of[0]} in {of[1]}"
    if certificate.get(DIGEST) != digest(certificate):
        return "the certificate was changed after it was written, or is from an earlier version: prove it again"
    for check in certificate["checks"]:
        within = check["difference"] is not None and check["difference"] <= check["bound"]
        if check["passed"] and not within:
            return (
                f"the certificate passes a {check['quantity']} of {check['layer'] or 'the net'} that is off its bound"
            )
    if certificate["passed"] and not certificate["checks"]:
        return "the certificate has passed without a check"
    if certificate["passed"] != (certificate["reason"] is None):
        return "the certificate contradicts itself: it has passed with a reason against it, or is refused without one"
    return None


def held_together(certificates: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The certificates; one with wider bounds than another of the same problem is refused.

    All certificates of a workload and a seed have the bounds of its problem, apart from rounding on different machines.
    """
    all_of_them = [dict(one) for one in certificates]
    narrowest: dict[tuple, tuple[float, str]] = {}
    for one in all_of_them:
        for key, bound in _bounds(one):
            of_this = bound, one["framework"]
            narrowest[key] = min(narrowest.get(key, of_this), of_this)
    for one in all_of_them:
        for key, bound in _bounds(one):
            least, framework = narrowest[key]
            if bound > WIDER * least:
                quantity = " ".join(filter(None, key[2:]))
                wrong = f"the certificate allows {bound:.2g} in {quantity}, and that of {framework} {least:.2g}"
                one |= {"passed": False, "reason": wrong, "tuned_reason": wrong}
                break
    return all_of_them


def _bounds(certificate: Mapping[str, Any]) -> Iterator[tuple[tuple, float]]:
    for check in certificate.get("checks", []):
        key = certificate["workload"], certificate.get("seed"), check["precision"], check["quantity"], check["layer"]
        yield key, check["bound"]
