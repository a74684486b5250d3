"""Noise of interleaved rounds, and the number of timed blocks that suits it: `python studies/windows/windows.py -h`.

The blocks of one cycle are divided for every pair of runs of a round, and the logarithms of these ratios split into
what differs from cycle to cycle (its standard deviation within rounds is e) and from process to process (p): the mean
of a round over n cycles varies by p² + e²/n. A round costs the same before and after its blocks however many there are,
and each block as much again: the number of blocks that makes the most of a given time is sqrt(fixed ÷ block) · e ÷ p
(Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013).
"""

import argparse
import sys
from itertools import combinations
from math import ceil, log, sqrt
from pathlib import Path
from statistics import mean, variance

import pandas as pd
from scipy.special import stdtrit

from framebench.analyse import markdown
from framebench.analyse.table import TableError, read_records
from framebench.record import BLOCK

COUNTS = (5, 10, 20, 40)
MINUTES = (1, 2, 4, 8)
CONFIDENCE = 0.95


def cycles(record: dict) -> list[float]:
    """The logarithms of the speeds in steps/s of a run's blocks, one of each cycle."""
    return [log(block["steps"] / (block["t1_ns"] - block["t0_ns"])) for block in record["blocks"]]


def components(records: list[dict]) -> pd.DataFrame:
    """One row per block with two rounds or more that were interleaved: its noise in %, and its costs in s.

    `window`: from one timed block to the next within a process; `shared`: the part of that which all processes of a
    cycle have in common; `cycle`: e; `process`: p, 0 where e explains all; pooled over the pairs. `fixed_s` and
    `block_s`: cost of a round, and of one timed block of all runs that were measured together.
    """
    frame = pd.DataFrame(
        [{**{name: one[name] for name in [*BLOCK, "framework", "round"]}, "record": one} for one in records]
    )
    of_place = [name for name in BLOCK if name != "track"]
    rows = []
    for block, runs in frame.groupby(BLOCK):
        ok = {
            (one["framework"], one["round"]): one
            for one in runs["record"]
            if one["status"] == "ok" and one["interleaved_with"]
        }
        if len({number for _, number in ok}) < 2:
            continue
        logs = {key: cycles(one) for key, one in ok.items()}
        windows, within, between, shared = [variance(one) for one in logs.values()], [], [], []
        for one, other in combinations(sorted({framework for framework, _ in ok}), 2):
            numbers = [number for framework, number in ok if framework == one and (other, number) in ok]
            differences = [
                [a - b for a, b in zip(logs[one, number], logs[other, number], strict=True)] for number in numbers
            ]
            within += [variance(some) for some in differences]
            between.append(variance([mean(some) for some in differences]))
            shared += [
                (variance(logs[one, number]) + variance(logs[other, number]) - variance(some)) / 2
                for number, some in zip(numbers, differences, strict=True)
            ]
        count = len(next(iter(logs.values())))
        later = [one for (_, number), one in ok.items() if number > 1]
        place = dict(zip(BLOCK, block, strict=True))  # type: ignore[call-overload]
        alike = frame[(frame[of_place] == [place[name] for name in of_place]).all(axis=1)]
        together = alike[alike["round"] == later[0]["round"]]["record"]
        block_s = sum(one["timed_s"] + one["lead_in_s"] for one in together) / count
        rows.append(
            place
            | {
                "window": sqrt(mean(windows)),
                "shared": sqrt(max(0.0, mean(shared))),
                "cycle": sqrt(mean(within)),
                "process": sqrt(max(0.0, mean(between) - mean(within) / count)),
                "rounds": len({number for _, number in ok}),
                "deviation": sqrt(mean(between)),
                "fixed_s": mean(one["round_s"] for one in later) - count * block_s,
                "block_s": block_s,
            }
        )
    if not rows:
        raise TableError("there is no block with two interleaved rounds")
    return pd.DataFrame(rows)


def half_width(row: pd.Series, count: int, minutes: float) -> float | None:
    """Half of a ratio's interval, as a logarithm, from as many rounds of so many blocks as fit; None below 3."""
    rounds = int(60 * minutes / (row["fixed_s"] + count * row["block_s"]))
    if rounds < 3:
        return None
    return float(stdtrit(rounds - 1, (1 + CONFIDENCE) / 2)) * sqrt(
        (row["process"] ** 2 + row["cycle"] ** 2 / count) / rounds
    )


def report(noise: pd.DataFrame, origin: str) -> str:
    """Both tables in Markdown."""

    def name(row: pd.Series) -> str:
        return f"{row['workload']}, batch {row['batch_size']}, {row['track']}"

    def best(row: pd.Series) -> str:
        if not row["process"]:
            return "–"
        return str(ceil(sqrt(row["fixed_s"] / row["block_s"]) * row["cycle"] / row["process"]))

    header = [
        "block",
        "window",
        "shared",
        "cycle",
        "process",
        "a round's ratio",
        "rounds",
        "fixed, s",
        "block, s",
        "best",
    ]
    rows = [
        [name(row)]
        + [f"{100 * row[column]:.1f}" for column in ("window", "shared", "cycle", "process", "deviation")]
        + [row["rounds"], f"{row['fixed_s']:.0f}", f"{row['block_s']:.1f}", best(row)]
        for _, row in noise.iterrows()
    ]
    said = (
        f"From {origin}: standard deviations in % of a process's timed blocks, of the part of it that all processes of "
        "a cycle share, of the ratio of two blocks of a cycle, of the ratio of two processes beyond that, and of a "
        "round's ratio as it was; seconds of a round without its timed blocks, and of one block of every run in it; "
        "the best number of blocks by these.\n"
    )
    curve = [
        [f"{minutes} min"]
        + [
            f"{100 * mean(widths):.0f}"
            if len(widths := [w for _, row in noise.iterrows() if (w := half_width(row, count, minutes)) is not None])
            == len(noise)
            else "–"
            for count in COUNTS
        ]
        for minutes in MINUTES
    ]
    told = "Half width in % that follows for a block, on average, by its minutes and the number of timed blocks:\n"
    return "\n".join([said, markdown.table(header, rows), told, markdown.table(["time", *map(str, COUNTS)], curve)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", type=Path, help="plan.txt of a campaign with at least two interleaved rounds")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page with a section `windows`")
    options = parser.parse_args()
    try:
        text = report(components(read_records(options.plan)), f"`{options.plan.parent}`")
        markdown.write_section(options.output, "windows", text)
    except (TableError, ValueError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
