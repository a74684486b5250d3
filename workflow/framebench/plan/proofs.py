"""The extent of a campaign's proofs: the tracks that a certificate covers, and the number of proofs at a time."""

import json
from math import ceil
from pathlib import Path

# Memory that one proof takes at most. Measured on x86-64: vgg-cnn 1,630 MiB in the reference, 1,340 in TensorFlow, 940
# in PyTorch; article-cnn 470 to 720 in the six frameworks, and 880 in PyTorch with track `tuned` and its compilers.
PROOF_MIB = 2000


def covers_tuned(certificate: Path, id: str) -> bool:
    """True where this file is the certificate of this id and covers track `tuned`, passed or refused."""
    try:
        found = json.loads(certificate.read_text(encoding="utf-8"))
        return found["id"] == id and "tuned" in found["tracks"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def cores_each(cores: int, available_mib: float) -> int:
    """Cores that each proof holds, so that as many run at a time as there are cores and memory for."""
    at_a_time = max(1, min(cores, int(available_mib / PROOF_MIB)))
    return ceil(cores / at_a_time)
