"""The version and the commit of the code that measures, for the record."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from framebench import __version__

ROOT = Path(__file__).parents[2]
COMMIT = "commit.json"  # file of a bundle


def revision(root: Path = ROOT) -> dict[str, object]:
    """The version of the code, its commit, and true if it was changed since; without a commit, the reason.

    A repository around the project's folder has another project's commits. A bundle has no repository, and a file that
    names the commit and the digest of every file.
    """
    version: dict[str, object] = {"framebench_version": __version__}
    try:
        if (packed := root / COMMIT).exists():
            told = json.loads(packed.read_text(encoding="utf-8"))
            changed = told["git_dirty"] or told["files"] != digests(root, told["files"])
            return version | {"git_commit": told["git_commit"], "git_dirty": changed}
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root.resolve():
            raise ValueError("the folder of the project is not the top of a Git repository")
        status = _git(root, "status", "--porcelain", "--untracked-files=no")
        return version | {"git_commit": _git(root, "rev-parse", "HEAD"), "git_dirty": bool(status)}
    except (OSError, ValueError, LookupError) as error:
        return version | {"git_commit_reason": str(error)}


def digests(root: Path, names: Iterable[str]) -> dict[str, str | None]:
    """Name → SHA-256 of each of these files of the project; None for one that is not there."""
    files = {name: root / name for name in names}
    return {name: hashlib.sha256(f.read_bytes()).hexdigest() if f.is_file() else None for name, f in files.items()}


def _git(root: Path, *arguments: str) -> str:
    """The answer of Git on the project; OSError where it is not there, ValueError with its own reason."""
    # A hook or an alias of Git's leaves variables that name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    said = subprocess.run(
        ["git", "-C", root, *arguments],
        env=environment | {"LC_ALL": "C.UTF-8"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if said.returncode:
        raise ValueError(said.stderr.strip().partition("\n")[0] or f"git ended with code {said.returncode}")
    return said.stdout.strip()
