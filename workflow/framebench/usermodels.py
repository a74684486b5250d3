"""A user's own models in a campaign: the folders that every process needs to know, and their digests.

The workflow passes them in an environment variable: name → the content of problem.yaml as the proof uses it (`asked`),
and the place where the proof leaves the weights (`told`).
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

VARIABLE = "FRAMEBENCH_MODELS"
REQUIREMENTS = "requirements.txt"


def digest(folder: Path) -> str:
    """12 hex digits that change with any file of a folder, except hidden files and caches."""
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
    """Name → description of each user model, as passed to this process."""
    return json.loads(os.environ.get(VARIABLE, "{}"))
