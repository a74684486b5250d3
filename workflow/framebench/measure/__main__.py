"""Measure one cell in one fresh process and write its record, whatever happens to that process.

A run that fails, hangs or is killed costs only itself: its record says so, and this command still exits 0,
so that the rest of the workflow goes on and shows the gap.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from framebench import record
from framebench.measure import die_with, progress
from framebench.measure.devices import cpu
from framebench.measure.devices.lease import lease


def main() -> None:
    request = vars(parser().parse_args())
    die_with(request.pop("parent"))
    output, log = request.pop("output"), request.pop("log")
    planned, runs = request.pop("planned"), request.pop("runs")
    if Path(sys.prefix).resolve() != request["environment"].resolve():
        sys.exit(f"{request['environment']}: this is not the environment of the interpreter that runs ({sys.prefix})")
    request["environment"], request["data"] = str(request["environment"]), str(request["data"])
    with lease(request["device"]):
        print(progress.line(request, planned, runs), file=sys.stderr, flush=True)
        run = supervise(request, log)
    try:
        record.write(output, run)
    except OSError as error:
        sys.exit(f"{output}: cannot be written: {error.strerror}; nothing else is lost, run again when it can")
    if run["status"] != "ok":
        print(f"    {run['status']}: {run['reason']} (log: {log})", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m framebench.measure", description=__doc__)
    for name in ("device", "workload", "framework", "track", "precision", "input"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--round", type=int, required=True)
    parser.add_argument("--order", type=int, required=True, help="position of this run in the campaign")
    parser.add_argument("--planned", type=int, required=True, help="runs in the campaign, for the progress line")
    parser.add_argument("--runs", type=Path, required=True, help="folder of all records, for the progress line")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True, help="CPU threads for the framework")
    parser.add_argument(
        "--protocol", type=json.loads, required=True, help="JSON: warmup, blocks, synced_steps, timeout_s"
    )
    parser.add_argument("--data", type=Path, required=True, help="npz with images and labels")
    parser.add_argument("--environment", type=Path, required=True, help="prefix that this interpreter must have")
    parser.add_argument("--lock-digest", required=True)
    parser.add_argument("--certificate", help="id of the certificate that the run needs, to count in a comparison")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="process to die with (default: the caller)")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="the record")
    return parser


def supervise(request: dict, log: Path) -> dict:
    """Run the worker on `request` to its end or its timeout, its output into `log`; returns the run's record."""
    identity = ("device", "workload", "framework", "track", "precision", "input", "batch_size")
    known = {
        name: request[name] for name in (*identity, "round", "order", "seed", "threads", "lock_digest", "certificate")
    }
    known |= cpu.machine() | revision() | {"started_unix_s": time.time()}
    known["device_name"] = known["cpu_model"]
    with tempfile.TemporaryDirectory() as folder:
        asked, seen = Path(folder, "request.json"), Path(folder, "observed.json")
        asked.write_text(json.dumps(request))
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as output:
            start = time.perf_counter()
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "framebench.measure.worker", asked, seen, str(os.getpid())],
                env=environment(request["threads"]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            timeout_s = request["protocol"]["timeout_s"]
            try:
                worker.wait(timeout_s)
                observed = seen_by(worker, seen)
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
                observed = {"status": "timeout", "reason": f"still running after protocol.timeout_s = {timeout_s} s"}
            known["process_s"] = time.perf_counter() - start
    return record.record(**known | observed)


def seen_by(worker: subprocess.Popen, seen: Path) -> dict:
    """What a worker that has ended left behind, or why there is nothing."""
    if worker.returncode == 0:
        return json.loads(seen.read_text())
    if worker.returncode > 0:
        return {"status": "failed", "reason": f"the measuring process exited with code {worker.returncode}"}
    name = signal.Signals(-worker.returncode).name
    hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    return {"status": "failed", "reason": f"the measuring process was killed by {name}{hint}"}


def environment(threads: int) -> dict[str, str]:
    """The worker's environment variables: the same thread count for every library, no GPU, no chatter."""
    pools = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    return {
        **os.environ,
        **{f"{pool}_NUM_THREADS": str(threads) for pool in pools},
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def revision() -> dict[str, object]:
    """Commit of the code and whether it was changed since; nulls outside a git checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return {}
    if commit.returncode or status.returncode:
        return {}
    return {"git_commit": commit.stdout.strip(), "git_dirty": bool(status.stdout)}


if __name__ == "__main__":
    main()
