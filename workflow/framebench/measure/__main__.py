"""Measure one cell in one fresh process and write its record, whatever happens to that process.

A run that fails, hangs or is killed costs only itself: its record says so, and this command still exits 0,
so that the rest of the workflow goes on and shows the gap.
"""

import json
import sys
from pathlib import Path

from framebench import record
from framebench.measure import command, progress
from framebench.measure.request import Request
from framebench.measure.supervisor import BUSY, SHARED, supervise, wait_for_others


def main() -> None:
    parser = command.parser("framebench.measure", __doc__)
    parser.add_argument("--round", type=int, required=True)
    parser.add_argument("--order", type=int, required=True, help="position of this run in the campaign")
    parser.add_argument("--planned", type=Path, required=True, help="JSON: the campaign's records, to say what is left")
    parser.add_argument("--tuning", type=Path, help="what framebench.measure.tune found, for track tuned")
    parser.add_argument("--certificate", help="id of the certificate that the run needs, to count in a comparison")
    arguments = parser.parse_args()
    log, output = arguments.log, arguments.output
    tuning = json.loads(arguments.tuning.read_text())["chosen"] if arguments.tuning else {}
    with command.leased(arguments, tuning=tuning, diagnosis=True) as request:
        if request.uuid and request.protocol.other_processes == "wait":
            wait_for_others(request.uuid, request.protocol.timeout_s)
        print(told(request, arguments.planned), file=sys.stderr, flush=True)
        run = supervise(request, log, record.samples_path(output) if request.uuid else None)
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


def told(request: Request, planned: Path) -> str:
    """The line about this run and what is left of its campaign."""
    cell, left = request.cell, progress.left(planned)
    track = [cell.track] if cell.track != "default" else []
    size = [f"batch {cell.batch_size}", f"input {cell.input}", f"round {request.round}"]
    what = [cell.workload, cell.framework, *track, *size]
    return progress.line("measuring", left.done + 1, left.planned, what, left_s=left.left_s, may_add_s=left.may_add_s)


if __name__ == "__main__":
    main()
