"""Turns of the processes of a round: each waits in its training loop until the supervisor lets it go on.

The process says in a line which state it has reached; the supervisor answers with a number, and only then it goes on:
    built   the model is there, and so is the data   any number: take the first step and warm up
    warm    nothing changes any more                 n blocks to be timed; 0: no more, look at what came of it and end
    timed   the blocks asked for were timed          the same; behind the word stands the last one's step time in s
"""

import os
import time
from typing import TextIO

BUILT, WARM, TIMED = "built", "warm", "timed"


class Turns:
    """The turns of this process, and how long it waited for them."""

    def __init__(self, told: TextIO, heard: TextIO) -> None:
        """States are written to `told`, answers read from `heard`."""
        self._told, self._heard = told, heard
        self.waiting_s = 0.0  # wall time
        self.waiting_cpu_s = 0.0  # CPU time of all threads meanwhile: a pool that spins takes it from whoever computes

    @classmethod
    def of_worker(cls, descriptor: int) -> "Turns":
        """Those of a measuring process, which writes to this descriptor and reads its standard input."""
        os.set_inheritable(descriptor, False)
        return cls(os.fdopen(descriptor, "w"), os.fdopen(0))

    def wait(self, state: str) -> int:
        """Say which state is reached, and wait for the answer. Raises EOFError where no one is there to give it."""
        wall, cpu = time.perf_counter(), time.process_time()
        print(state, file=self._told, flush=True)
        answer = self._heard.readline()
        self.waiting_s += time.perf_counter() - wall
        self.waiting_cpu_s += time.process_time() - cpu
        if not answer:
            raise EOFError("the supervisor has ended")
        return int(answer)
