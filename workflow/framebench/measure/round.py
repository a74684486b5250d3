"""One block in one round: a fresh process of each run, and their timed blocks in turn.

The noise of a shared machine has a time scale of seconds. So the processes of a block are alive together, and their
timed blocks alternate in random order while only one computes (randomized multiple interleaved trials: Abedi and
Brecht, "Conducting Repeatable Experiments in Highly Variable Cloud Computing Environments", ICPE 2017). Where memory
does not hold all, as many as it holds are alive together, and the others follow; without interleaving, each follows the
one before.
"""

import itertools
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from framebench.measure.devices import allocation, cpu
from framebench.measure.supervisor import Member, Run
from framebench.revision import revision

SPARE = 1.25  # free memory needed before a process is started beside others, as a multiple of its expected memory


StillIn = Callable[[Sequence[Sequence[float]]], Sequence[bool]]


def measure(members: Sequence[Member], still_in: StillIn | None = None) -> list[dict]:
    """Measure these runs, of one protocol and device, as far as possible in this order; return their records.

    After each cycle of interleaved runs, `still_in` gets the images/s of every run's blocks and returns the runs to go
    on with.
    """
    protocol, uuid = members[0].request.protocol, members[0].request.uuid
    start_s, before = time.perf_counter(), cpu.usage()
    facts = cpu.machine() | revision() | allocation.facts()
    busy_at_start = cpu.busy_cores_now()
    with tempfile.TemporaryDirectory() as folder, ended_with(members, facts, Path(folder)) as runs:
        waiting = deque(runs)
        while waiting:
            together = started(waiting, interleave=protocol.interleaves(uuid))
            places = itertools.count(1 + sum(len(run.places) for run in runs))
            draw = random.Random(f"{protocol.seed} {members[0].request.round}")
            take_turns(together, protocol.blocks.count, places, draw, still_in or everyone)
            end(together)
    of_round = {"busy_at_start_cores": busy_at_start, "round_s": time.perf_counter() - start_s}
    of_round |= cpu.others(before, cpu.usage())
    return [run.record(of_round) for run in runs]


@contextmanager
def ended_with(members: Sequence[Member], facts: dict, folder: Path) -> Iterator[list[Run]]:
    """The runs of these members; an error in between ends them all."""
    runs = []
    for i, member in enumerate(members):
        (folder / str(i)).mkdir()
        runs.append(Run(member, facts, folder / str(i)))
    try:
        yield runs
    except BaseException:
        for run in runs:
            run.kill()
        raise


def started(waiting: deque[Run], interleave: bool) -> list[Run]:
    """Take as many waiting runs as may be alive together, and bring each through its warm-up.

    A run with a diagnosis is started alone, as the times of its start count. Other runs start at the same time; where
    their memory is not known, the first of them starts alone.
    """
    alone = not interleave or any(run.request.diagnosis for run in waiting)
    together: list[Run] = []
    while waiting and (not together or (interleave and holds(together, waiting[0]))):
        run = waiting.popleft()
        run.alone = alone
        run.start(sample=not interleave)
        if alone or (not together and run.member.expected_mib is None):
            run.built()
            run.warm_up()
        together.append(run)
    for run in together:
        run.built()
    for run in together:
        run.warm_up()
        run.beside = len(together) - 1
    return together


def holds(together: Sequence[Run], candidate: Run) -> bool:
    """True where memory holds one more process beside these."""
    taken = [run.resident_peak_mib() for run in together]
    known = [run.member.expected_mib or 0.0 for run in (*together, candidate)]
    most = max(taken + known)
    growth_mib = sum(
        max(0.0, (run.member.expected_mib or most) - mib) for run, mib in zip(together, taken, strict=True)
    )
    return cpu.available_mib() >= growth_mib + SPARE * (candidate.member.expected_mib or most)


def take_turns(
    together: Sequence[Run], blocks: int, places: Iterator[int], draw: random.Random, still_in: StillIn
) -> None:
    """Let each of these runs time so many blocks, one per cycle, in random order; a single run times all at once.

    `places` numbers the blocks of the round.
    """
    if len(together) == 1:
        together[0].take_turn(list(itertools.islice(places, blocks)))
        return
    going = list(together)
    for _ in range(blocks):
        # `random()` gives the same numbers in every Python; `shuffle` does not guarantee that.
        for _, i in sorted((draw.random(), i) for i in range(len(going))):
            going[i].take_turn([next(places)])
        going = [run for run, stays in zip(going, still_in([run.speeds for run in going]), strict=True) if stays]


def everyone(speeds: Sequence[Sequence[float]]) -> list[bool]:
    """All runs take all turns."""
    return [True] * len(speeds)


def end(together: Sequence[Run]) -> None:
    """End these runs one after another: the checks of each take longer beside the others."""
    for run in together:
        run.end()
        run.close()
