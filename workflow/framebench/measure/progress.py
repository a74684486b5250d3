"""How far a campaign is, in one line for the person who waits for it."""

import json
from pathlib import Path

from framebench.measure.request import Request

RECENT = 30  # records that the estimate looks at: about one round of the default matrix


def line(request: Request, planned: int, runs: Path) -> str:
    """One line: which run of how many, what is measured, and about how long is left.

    `runs` is the folder of records; the estimate is the mean time of its most recent ones.
    """
    cell = request.cell
    track = [cell.track] if cell.track != "default" else []
    size = [f"batch {cell.batch_size}", f"input {cell.input}", f"round {request.round}"]
    what = " · ".join([cell.workload, cell.framework, *track, *size])
    left = planned - request.order + 1
    run_s = mean_process_s(runs)
    estimate = f" · about {duration(left * run_s)} left" if run_s else ""
    return f"[{request.order} of {planned}] {what}{estimate}"


def mean_process_s(runs: Path) -> float | None:
    """Mean wall time in s of the most recent runs; None before the first."""
    records = sorted(runs.rglob("round-*.json"), key=lambda path: path.stat().st_mtime)[-RECENT:]
    times_s = [json.loads(path.read_text()).get("process_s") for path in records]
    known_s = [time_s for time_s in times_s if time_s]
    return sum(known_s) / len(known_s) if known_s else None


def duration(seconds: float) -> str:
    """`40 s`, `7 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{round(seconds, -1):.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
