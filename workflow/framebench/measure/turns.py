"""Turns of the processes of a round: each waits in its training loop until the supervisor lets it go on.

The process reports each state that it reaches in a line, and waits; the supervisor answers with a number:
    built   model and data are ready            any number: take the first step and warm up
    warm    the warm-up has ended               blocks to time; 0: time no more, make the checks and end
    timed   the requested blocks are timed      the same; the line also has the last one's step time in s
"""

import os
import time
from typing import TextIO

BUILT, WARM, TIMED = "built", "warm", "timed"


class Turns:
    """The turns of this process, and its waiting times."""

    def __init__(self, told: TextIO, heard: TextIO) -> None:
        """States are written to `told`, answers read from `heard`."""
        self._told, self._heard = told, heard
        self.waiting_s = 0.0  # wall time
        self.waiting_cpu_s = 0.0  # CPU time of all threads meanwhile: a spinning pool takes it from the others

    @classmethod
    def of_worker(cls, descriptor: int) -> "Turns":
        """The turns of a measuring process, which writes to this descriptor and reads its standard input."""
        os.set_inheritable(descriptor, False)
        return cls(os.fdopen(descriptor, "w", encoding="utf-8"), os.fdopen(0, encoding="utf-8"))

    def wait(self, state: str) -> int:
        """Report a reached state, and wait for the answer. Raises EOFError where the supervisor is gone."""
        wall, cpu = time.perf_counter(), time.process_time()
        print(state, file=self._told, flush=True)
        answer = self._heard.readline()
        self.waiting_s += time.perf_counter() - wall
        self.waiting_cpu_s += time.process_time() - cpu
        if not answer:
            raise EOFError("the supervisor has ended")
        return int(answer)
