"""Measure one block in one round: a fresh process of every framework and track, and a record of each.

A run that fails, hangs or is killed costs only itself: its record says so, and this command still exits 0,
so that the rest of the workflow goes on and shows the gap.
"""

import json
import sys
from pathlib import Path

from framebench import record
from framebench.measure import command, progress
from framebench.measure import round as of_block
from framebench.measure.request import Request
from framebench.measure.supervisor import SHARED, Member


def main() -> None:
    parser = command.parser("framebench.measure", __doc__, decided=("framework", "track"))
    parser.add_argument("--round", type=int, required=True)
    parser.add_argument(
        "--members",
        type=json.loads,
        required=True,
        help="JSON, for each run: framework, track, python, environment, lock_digest, site, certificate, and of track "
        "tuned the file of what framebench.measure.tune found",
    )
    parser.add_argument("--story", help="npz of framebench.certify.story, for the cells of this block")
    parser.add_argument("--order", type=json.loads, required=True, help="JSON: place in the campaign of each run")
    parser.add_argument("--planned", type=Path, required=True, help="JSON: planned records, for the progress line")
    parser.add_argument("--logs", type=Path, nargs="+", required=True, help="log of each run")
    parser.add_argument("--outputs", type=Path, nargs="+", required=True, help="JSON: the record of each run")
    arguments = parser.parse_args()
    with command.leased(arguments) as told:
        members = [member(told, i) for i in range(len(arguments.members))]
        first = members[0].request
        print(progress_line(first, arguments.planned), file=sys.stderr, flush=True)
        in_order = sorted(range(len(members)), key=lambda i: members[i].request.order)
        runs = of_block.measure([members[i] for i in in_order])
    for i, run in zip(in_order, runs, strict=True):
        output = arguments.outputs[i]
        try:
            record.write(output, run)
        except OSError as error:
            sys.exit(f"{output}: cannot be written: {error.strerror}; nothing else is lost, run again when it can")
        if run["status"] != "ok":
            what = f"{run['framework']} {run['track']}: {run['status']}: {run['reason']}"
            print(f"    {what} (log: {arguments.logs[i]})", file=sys.stderr, flush=True)
    say_of_machine(runs)


def member(told: dict, i: int) -> Member:
    """The i-th run of these arguments."""
    asked, output = dict(told["members"][i]), told["outputs"][i]
    tuning = json.loads(Path(asked.pop("tuning")).read_text(encoding="utf-8"))["chosen"] if "tuning" in asked else {}
    decided = asked | {"order": told["order"][i], "tuning": tuning}
    decided["diagnosis"] = told["round"] <= told["protocol"].diagnosed_rounds
    request = command.request(told, **decided)
    return Member(
        request,
        told["logs"][i],
        samples=record.samples_path(output) if request.uuid else None,
        expected_mib=peak_before(output),
        idle=told["idle"],
    )


def peak_before(output: Path) -> float | None:
    """Peak memory in MiB of another round's run, whose record is beside this one; None where there is none."""
    others = [json.loads(path.read_text(encoding="utf-8")) for path in output.parent.glob("round-*.json")]
    return max((run["host_rss_peak_mib"] for run in others if run["host_rss_peak_mib"]), default=None)


def say_of_machine(runs: list[dict]) -> None:
    """Report on stderr other processes that computed meanwhile, if any."""
    if any(record.BUSY in run["flags"] for run in runs):
        during, before = (runs[0][name] or 0.0 for name in ("others_cpu_cores", "busy_at_start_cores"))
        cores = f"other processes kept {during:.2f} cores busy during these runs and {before:.2f} just before them"
        print(f"    busy machine: {cores}", file=sys.stderr, flush=True)
    if any(SHARED in run["flags"] for run in runs):
        card = next(run["device_uuid"] for run in runs if SHARED in run["flags"])
        print(f"    another process computed on {card} before or after these runs", file=sys.stderr, flush=True)


def progress_line(request: Request, planned: Path) -> str:
    """The progress line of a block in a round: one of its runs, and the rest of the campaign."""
    cell, left = request.cell, progress.left(planned)
    what = [cell.workload, f"batch {cell.batch_size}", f"input {cell.input}", f"round {request.round}"]
    return progress.line("measuring", left.done + 1, left.planned, what, left_s=left.left_s, may_add_s=left.may_add_s)


if __name__ == "__main__":
    main()
