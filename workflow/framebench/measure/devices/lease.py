"""One measurement at a time on each device, across every user and copy of the workflow on this machine."""

import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

OF_TESTS = "FRAMEBENCH_TEST_LEASES"  # variable of tests that check no speed: a name for leases of their own
ASK_EVERY_S = 0.2  # interval between attempts while another process holds the device


@contextmanager
def lease(device: str) -> Iterator[None]:
    """Hold `device`, `cpu` or the UUID of a card, alone; wait, with a line on stderr, while another process holds it.

    The lease is a socket of an abstract name, unix(7): it needs no folder, so that neither TMPDIR nor a job's own /tmp
    makes a second one, and the kernel releases it when the holder dies, however it dies. Containers with a network of
    their own do not see it.
    """
    with socket.socket(socket.AF_UNIX) as held:
        said = False
        while not _is_ours(held, f"\0framebench-{os.environ.get(OF_TESTS, '')}{device}"):
            if not said:
                print(f"waiting: another measurement is running on {device}", file=sys.stderr, flush=True)
                said = True
            time.sleep(ASK_EVERY_S)
        yield


def _is_ours(held: socket.socket, name: str) -> bool:
    try:
        held.bind(name)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
