"""Files that are there whole or not at all, whenever their writer dies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole(path: Path, mode: str = "w", **options: Any) -> Iterator[IO]:
    """A file to write, as `open(mode, **options)`, that takes the name `path` when it is complete.

    Folders are made as needed. OSError where it cannot be written; what was at `path` is then still there.
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
