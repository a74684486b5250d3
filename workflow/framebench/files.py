"""Atomic writes: a file is complete or absent, whenever its writer dies; and names of folders."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole(path: Path, mode: str = "w", **options: Any) -> Iterator[IO]:
    """A file to write, as `open(mode, **options)`, which is renamed to `path` when it is complete.

    Folders are made as needed. Raises OSError where it cannot be written; the previous file at `path` then stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def folder_in(parent: Path, name: str) -> Path:
    """The folder of this name in `parent`. Raises ValueError where it would lie elsewhere."""
    if name in ("", ".", "..") or Path(name).name != name:
        raise ValueError(f"{name!r} is no name of a folder in {parent}")
    return parent / name
