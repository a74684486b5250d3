"""Starts the sampler of a card beside what it samples, and stops it afterwards."""

import select
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from framebench.measure.devices.samples import Samples, read_lines

# Longest wait for a sampler to begin or end; without persistence mode, NVML takes seconds for each card of the machine.
ANSWER_S = 60.0


class Sampling:
    """The sampling process of a card."""

    def __init__(self, uuid: str, hz: float, cores: Iterable[int] | None, lines: Path) -> None:
        """`cores` are the trainer's, which the sampler avoids if there are others; `lines`, a file to write."""
        self._lines, self._period_s = lines, 1 / hz
        avoided = ["--avoid-cores", *map(str, cores)] if cores else []
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "framebench.measure.devices.sampler"),
                *("--uuid", uuid, "--hz", str(hz), "--output", str(lines), *avoided),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Not to be interrupted from the terminal before the run is.
            start_new_session=True,
        )

    def __enter__(self) -> "Sampling":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def begun(self) -> bool:
        """Wait for the first sample; False where there will be none."""
        assert self._process.stdout, "it was asked for"
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_S)
        return bool(ready and self._process.stdout.readline())

    def ended(self) -> bool:
        """True once the sampler has ended by itself, as it does when the card is lost."""
        return self._process.poll() is not None

    def stop(self) -> Samples:
        """Stop the sampler after one more sample, if it still runs; return all its samples."""
        assert self._process.stdin and self._process.stdout, "they were asked for"
        if not self.ended():
            time.sleep(self._period_s)
        self._process.stdin.close()
        try:
            self._process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        return read_lines(self._lines)
