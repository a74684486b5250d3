"""The certificate of a user's model in a framework: the result of the proof for the file that the framework builds.

It is written whether the proof passed or not: a cell without a valid one is measured but not compared.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framebench import record
from framebench.certificate import sealed
from framebench.prove import words


def certificate(proof: Mapping[str, Any], workload: str, framework: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A certificate from a proof; `facts` are its id, the digest of the lock and the model's files.

    Its checks leave out the proof's controls, which must differ, and quantities that are zero in theory.
    """
    passed = proof["outcome"] != "different"
    reason = None if passed else words.outcome(proof)
    compared = [one for one in proof["checks"] if one["passed"] is False or _within(one)]
    return {
        **facts,
        "workload": workload,
        "framework": framework,
        "passed": passed,
        "reason": reason,
        "tuned_reason": reason,
        "outcome": words.outcome(proof),
        "folder_digest": proof["folder_digest"],
        "requirements": proof["requirements"],
        "seed": proof["seed"],
        "parameters": proof["parameters"],
        "versions": proof["versions"],
        "checks": [one for one in compared if not one["quantity"].startswith("control")],
    }


def _within(check: Mapping[str, Any]) -> bool:
    return check["difference"] is not None and check["difference"] <= check["bound"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.prove.certificate", description=__doc__)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--framework", required=True)
    parser.add_argument("--id", required=True, help="id in the records of this workload and framework")
    parser.add_argument("--lock-digest", required=True)
    parser.add_argument("--sources", nargs="+", required=True, help="the files that are certified")
    parser.add_argument("--proof", type=Path, required=True, metavar="PROOF.json")
    parser.add_argument("--output", type=Path, required=True, metavar="CERTIFICATE.json")
    options = parser.parse_args()
    proof = json.loads(options.proof.read_text(encoding="utf-8"))
    facts = {"id": options.id, "lock_digest": options.lock_digest, "sources": options.sources}
    record.write(options.output, sealed(certificate(proof, options.workload, options.framework, facts)))


if __name__ == "__main__":
    main()
