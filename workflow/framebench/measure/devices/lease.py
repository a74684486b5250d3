"""One measurement at a time on each device, across every user and copy of the workflow on this machine."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lease(device: str) -> Iterator[None]:
    """Hold `device`, `cpu` or the UUID of a card, alone; wait, with a line on stderr, while another process holds it.

    The kernel releases it when the holder dies, however it dies.
    """
    path = Path(tempfile.gettempdir()) / f"framebench-{device}.lock"
    descriptor = _opened(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting: another measurement is running on {device} ({path})", file=sys.stderr, flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """The lock file, readable for every user: in a shared folder, the kernel lets no other user open it to write."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT)
        os.fchmod(descriptor, 0o444)
        return descriptor
