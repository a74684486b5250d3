"""The progress of a campaign, in one line."""

import json
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

RECENT = 300  # records used for the estimate: reading more would take too long


def line(
    stage: str,
    place: int,
    planned: int,
    what: Iterable[object],
    *,
    left_s: float | None = None,
    may_add_s: float = 0,
    now: datetime | None = None,
) -> str:
    """One line: the stage, the part and the number of parts, its subject, and the time left.

    `left_s` is the seconds left, None where unknown; `may_add_s` those of the rounds that a rule may yet add; `now` the
    local time, by default that of the clock.
    """
    count = f" {place} of {planned}" if planned else ""
    parts = [f"[{stage}{count}] " + " · ".join(map(str, what))]
    if left_s is not None:
        now = now or datetime.now()
        parts += [f"about {duration(left_s)} left, until {_clock(left_s, now)}"]
        if may_add_s:
            parts[-1] += f", up to {_clock(left_s + may_add_s, now)} with the rounds that are added"
    return " · ".join(parts)


def seconds_left(left: Iterable[Hashable], taken: Iterable[tuple[Hashable, float]]) -> float | None:
    """Estimated seconds left: each part takes as long as the last of the same name took, or else the mean of all.

    `taken` are names with their seconds, in the order of time; None where there are none.
    """
    newest = dict(taken)
    if not newest:
        return None
    mean_s = sum(newest.values()) / len(newest)
    return sum(newest.get(name, mean_s) for name in left)


@dataclass(frozen=True)
class Left:
    """The rest of a campaign."""

    done: int
    planned: int  # 0: not known
    left_s: float | None
    may_add_s: float


def left(plan: Path) -> Left:
    """The rest by the file of `framebench.plan.matrix.write_planned`; unknown where the file is missing."""
    try:
        planned = json.loads(plan.read_text(encoding="utf-8"))
    except OSError:
        return Left(0, 0, None, 0)
    # A record is in the folder of its cell, so parts in one folder take about as long.
    written: list[tuple[float, Path]] = []
    missing: list[Path] = []
    for path in map(Path, planned["records"]):
        try:
            written.append((path.stat().st_mtime, path))
        except OSError:
            missing.append(path)
    taken = []
    for _, path in sorted(written)[-RECENT:]:
        if seconds := json.loads(path.read_text(encoding="utf-8")).get("round_s"):
            taken.append((path.parent, seconds))
    left_s = seconds_left([path.parent for path in missing], taken)
    return Left(len(written), len(planned["records"]), left_s, planned["may_add_s"])


def duration(seconds: float) -> str:
    """`40 s`, `7 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{round(seconds, -1):.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _clock(seconds: float, now: datetime) -> str:
    """The time of day in so many seconds, with the date if it is another day: `14:32`, `2026-11-28 09:05`."""
    end = now + timedelta(seconds=seconds)
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"
