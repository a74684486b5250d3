"""Measure one cell in one fresh process and write its record, whatever happens to that process.

A run that fails, hangs or is killed costs only itself: its record says so, and this command still exits 0,
so that the rest of the workflow goes on and shows the gap.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from framebench import record
from framebench.measure import die_with, progress
from framebench.measure.devices import allocation
from framebench.measure.devices.lease import lease
from framebench.measure.supervisor import BUSY, SHARED, supervise, wait_for_others


def main() -> None:
    request = vars(parser().parse_args())
    die_with(request.pop("parent"))
    output, log = request.pop("output"), request.pop("log")
    planned, runs = request.pop("planned"), request.pop("runs")
    if Path(sys.prefix).resolve() != request["environment"].resolve():
        sys.exit(f"{request['environment']}: this is not the environment of the interpreter that runs ({sys.prefix})")
    request["environment"], request["data"] = str(request["environment"]), str(request["data"])
    request["diagnosis"] = True  # a search's trials need none
    request["tuning"] = json.loads(request["tuning"].read_text())["chosen"] if request["tuning"] else {}
    request |= allocation.bound(request["allocated"])
    uuid, protocol = request["gpu"] and request["gpu"]["uuid"], request["protocol"]
    with lease(uuid or request["device"]):
        if uuid and protocol["other_processes"] == "wait":
            wait_for_others(uuid, protocol["timeout_s"])
        print(progress.line(request, planned, runs), file=sys.stderr, flush=True)
        run = supervise(request, log, record.samples_path(output) if uuid else None)
    try:
        record.write(output, run)
    except OSError as error:
        sys.exit(f"{output}: cannot be written: {error.strerror}; nothing else is lost, run again when it can")
    if run["status"] != "ok":
        print(f"    {run['status']}: {run['reason']} (log: {log})", file=sys.stderr, flush=True)
    if BUSY in run["flags"]:
        during, before = run["others_cpu_cores"], run["busy_at_start_cores"]
        cores = f"other processes kept {during:.2f} cores busy during this run and {before:.2f} just before it"
        print(f"    busy machine: {cores}", file=sys.stderr, flush=True)
    if SHARED in run["flags"]:
        print(
            f"    another process computed on {run['device_uuid']} before or after this run",
            file=sys.stderr,
            flush=True,
        )


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m framebench.measure", description=__doc__)
    for name in ("device", "workload", "framework", "track", "precision", "input"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--uuid", dest="gpu", type=lambda uuid: {"uuid": uuid}, help="of the GPU to measure on")
    parser.add_argument("--allocated", metavar="MODEL", help="measure on what Slurm allocated: this GPU, or `cpu`")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--round", type=int, required=True)
    parser.add_argument("--order", type=int, required=True, help="position of this run in the campaign")
    parser.add_argument("--planned", type=int, required=True, help="runs in the campaign, for the progress line")
    parser.add_argument("--runs", type=Path, required=True, help="folder of all records, for the progress line")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True, help="CPU threads for the framework")
    parser.add_argument(
        "--protocol",
        type=json.loads,
        required=True,
        help="JSON: warmup, blocks, synced_steps, profiled_steps, timeout_s",
    )
    parser.add_argument("--tuning", type=Path, help="what framebench.measure.tune found, for track tuned")
    parser.add_argument("--data", type=Path, required=True, help="npz with images and labels")
    parser.add_argument("--environment", type=Path, required=True, help="prefix that this interpreter must have")
    parser.add_argument("--lock-digest", required=True)
    parser.add_argument("--site", action="store_true", help="this interpreter is the site's own")
    parser.add_argument("--certificate", help="id of the certificate that the run needs, to count in a comparison")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="process to die with (default: the caller)")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="the record")
    return parser


if __name__ == "__main__":
    main()
