"""The models of a user's own that a campaign is about: folders that every process is told of, and their digest.

The workflow tells by an environment variable: name → what problem.yaml says, as a proof is asked (`asked`), and where
the proof leaves the weights (`told`).
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

VARIABLE = "FRAMEBENCH_MODELS"
REQUIREMENTS = "requirements.txt"


def digest(folder: Path) -> str:
    """12 hex digits that change with any file of a folder; hidden ones and caches do not count."""
    total = hashlib.sha256()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        for name in sorted(names):
            if name[0] != ".":
                path = Path(parent, name)
                total.update(f"{path.relative_to(folder)}\0".encode(errors="surrogateescape"))
                total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def models() -> dict[str, Any]:
    """Name → what a process is told of the user's models."""
    return json.loads(os.environ.get(VARIABLE, "{}"))
