"""A measuring process as its supervisor sees it: started, given its turns, and ended at its timeout."""

import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from framebench import variables
from framebench.measure.allocator import preload
from framebench.measure.request import Request

LOOK_EVERY_S = 0.5  # interval between checks while waiting for a process


class Process:
    """One worker; it computes in its turns only, and the protocol's `timeout_s` limits their sum."""

    def __init__(self, request: Request, asked: Path, seen: Path, log: Path) -> None:
        """Start the worker on the request in the file `asked`; it writes the file `seen`.

        Raises FileNotFoundError where the environment lacks the requested allocator.
        """
        asked.write_text(request.to_json(), encoding="utf-8")
        self._ours = environment(request)
        variables.prepare(self._ours["HOME"])
        log.parent.mkdir(parents=True, exist_ok=True)
        self.timed_out = False
        self.ended_s = math.inf  # time.perf_counter at which its end was seen
        self._told, told_by_worker = os.pipe()
        self._lines = b""
        self._left_s = request.protocol.timeout_s
        worker = ["-P", "-m", "framebench.measure.worker", *map(str, (asked, told_by_worker, seen, os.getpid()))]
        command = [request.python, *worker]
        if request.modules:
            # A module may set variables that are ours to set, and not only where its libraries are.
            own = [f"{name}={value}" for name, value in of_run(request).items()]
            command = ["bash", "--norc", "-c", f'{request.modules} exec env "$@"', "bash", *own, *command]
        try:
            with log.open("w", encoding="utf-8") as output:
                self._popen = subprocess.Popen(
                    command,
                    env=variables.over(self._ours, os.environ, site=request.site, modules=bool(request.modules)),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=[told_by_worker],
                    start_new_session=True,
                )
        finally:
            os.close(told_by_worker)
        self.pid = self._popen.pid

    def inherited(self) -> dict[str, str]:
        """The variables that the process got from outside and that may change its numbers; none once it has ended."""
        try:
            started_with = Path(f"/proc/{self.pid}/environ").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}
        told = dict(line.split("=", 1) for line in started_with.split("\0") if "=" in line)
        return variables.foreign(told, self._ours)

    def go(self, blocks: int = 1) -> None:
        """Let the worker go on; no effect once it has ended."""
        assert self._popen.stdin, "it was asked for"
        with suppress(BrokenPipeError):
            self._popen.stdin.write(b"%d\n" % blocks)
            self._popen.stdin.flush()

    def reached(self, look: Callable[[], bool] = lambda: False) -> str | None:
        """The next state that the worker reaches; None where it has ended, or was ended at its timeout.

        `look` is called now and then meanwhile; where it returns True, the process is killed.
        """
        start = time.monotonic()
        while b"\n" not in self._lines:
            left_s = start + self._left_s - time.monotonic()
            if left_s <= 0:
                self.timed_out = True
                self.kill()
            ready, _, _ = select.select([self._told], [], [], max(0.0, min(LOOK_EVERY_S, left_s)))
            if ready:
                said = os.read(self._told, 4096)
                self._lines += said
                if not said:
                    # Its end may take long, or for ever.
                    with suppress(subprocess.TimeoutExpired):
                        self._popen.wait(max(0.0, min(LOOK_EVERY_S, left_s)) or None)
            # A child process may hold the other end of the pipe open, so ask.
            if not (ready and said) and self._popen.poll() is not None:
                self.ended_s = time.perf_counter()
                return None
            if look():
                self.kill()
        self._left_s -= time.monotonic() - start
        line, _, self._lines = self._lines.partition(b"\n")
        return line.decode()

    def kill(self) -> None:
        """Kill the worker with its child processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> int:
        """Its exit code, negative for a signal, once it has ended."""
        code = self._popen.wait()
        os.close(self._told)
        assert self._popen.stdin, "it was asked for"
        with suppress(BrokenPipeError):
            self._popen.stdin.close()
        return code


def environment(request: Request) -> dict[str, str]:
    """The worker's environment variables, as far as the caller's have no part in them."""
    return variables.made(request.python) | of_run(request)


def of_run(request: Request) -> dict[str, str]:
    """The variables of this run: the same thread count for every library, one GPU or none, the allocator."""
    pools = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    return {
        **{f"{pool}_NUM_THREADS": str(request.protocol.threads) for pool in pools},
        "CUDA_VISIBLE_DEVICES": request.uuid or "-1",
        **preload(request.tuning.get("allocator", "system"), request.environment),
    }
