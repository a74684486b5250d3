"""Runs a user's code in a process of a framework's own environment, for a limited time."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framebench import variables
from framebench.plan.catalogue import ROOT


class ProcessError(Exception):
    """A process gave no answer; one line with the reason."""


def answer(
    python: str, module: str, request: Mapping[str, Any], *, backend: str, log: Path, time_limit_s: float
) -> dict[str, Any]:
    """The answer of a module of `framebench.prove.inside` to a request; its output goes to `log`.

    Raises ProcessError if it takes longer, is killed, or ends without an answer.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, log.open("ab") as output:
        asked, answered = Path(folder, "request.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps(request), encoding="utf-8")
        command = [python, "-P", "-m", f"framebench.prove.inside.{module}", str(asked), str(answered)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(python, backend),
            start_new_session=True,
        )
        try:
            code = process.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            raise ProcessError(
                f"no answer within {time_limit_s:g} s (--time-limit); what the model printed is in {log}"
            ) from None
        finally:
            # Also the processes that a user's code started, and at Ctrl-C.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not answered.exists():
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise ProcessError(f"the process ended without an answer ({how}); its output is in {log}")
        found: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
        return found


def environment(python: str, backend: str) -> dict[str, str]:
    """The environment variables of a process that runs a user's code."""
    ours = variables.made(python)
    variables.prepare(ours["HOME"])
    site = not Path(python).absolute().is_relative_to(ROOT / ".venvs")
    return variables.over(ours, os.environ, site=site) | {
        "PYTHONDONTWRITEBYTECODE": "1",  # nothing is written into the user's folder
        "KERAS_BACKEND": backend,
        "JAX_ENABLE_X64": "1",  # JAX has no float64 unless asked
        "CUDA_VISIBLE_DEVICES": "-1",  # the proof is in float64, on the processor
        "OMP_WAIT_POLICY": "PASSIVE",
    }
