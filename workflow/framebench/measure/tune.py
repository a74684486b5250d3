"""Find the settings for track `tuned`: those of an adapter's OPTIONS shown to be faster than the default ones.

The rule is the same for every framework. First the default settings and every change of one option are alive together
and time blocks in turn; one that is shown to be slower than the best so far takes no more turns. Then fresh processes
do so again: of the default settings, of the fastest change, and of all changes together that were shown to be faster.
The fastest of these is chosen if it is shown to be faster than the default settings here too, else the default ones are
kept. "Shown" is by a one-sided t test at LEVEL over the cycles, each with one block of either. Two processes with the
same settings differ too, so a gain must be shown by two processes, and be larger than PROCESSES.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import exp, log, sqrt
from statistics import geometric_mean, mean, stdev

from framebench import record, workloads
from framebench.measure import command
from framebench.measure import round as of_block
from framebench.measure.supervisor import Member

Options = Mapping[str, tuple]
Settings = dict[str, object]

LEVEL = 0.05
# Largest relative difference between the medians of two processes with the same settings: 2 to 7 % on the 2 cores of
# shared virtual machines (docs/statistics.md).
PROCESSES = 0.05
BLOCKS = 6  # of each process, at most: the search is for gains of more than 5 %
FEWEST_CYCLES = 3  # cycles before any settings are dropped
# One-sided 5 % points of Student's t with 1 to 30 degrees of freedom; beyond, the last one is on the safe side. The
# environment of a framework has no SciPy, and a search also runs without it.
T95 = (
    *(6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753),
    *(1.746, 1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697),
)


@dataclass(frozen=True)
class Trial:
    """One process of the search: the images/s of its timed blocks, cycle by cycle; none for the `reason` given."""

    settings: Settings
    stage: int
    images_per_s: list[float]
    reason: str | None = None


def search(options: Options, run: Callable[[int, list[Settings]], list[Trial]]) -> tuple[Settings, list[Trial]]:
    """The chosen settings, one value of each option, and the trials made.

    `options`: name → values, the default one first. `run` makes the trials of a stage, 1 or 2, of several settings, the
    default ones first. Raises RuntimeError where not even these run.
    """
    default = {name: values[0] for name, values in options.items()}
    changes = [{name: value} for name, values in options.items() for value in values[1:]]
    made = run(1, [default, *(default | change for change in changes)])
    if made[0].reason:
        raise RuntimeError(f"the default settings cannot be measured: {made[0].reason}")
    faster = [(trial, change) for trial, change in zip(made[1:], changes, strict=True) if gain(trial, made[0]) > 0]
    if not faster:
        return default, made
    faster.sort(key=lambda one: middle(one[0]))
    together = default | {name: value for _, change in faster for name, value in change.items()}
    again = [default, faster[-1][0].settings]
    if together not in again:
        again.append(together)
    second = run(2, again)
    best = max(second[1:], key=middle)
    chosen = best.settings if not second[0].reason and gain(best, second[0]) > log(1 + PROCESSES) else default
    return chosen, [*made, *second]


def middle(trial: Trial) -> float:
    """Geometric mean of a trial's blocks; 0 where there are none."""
    return geometric_mean(trial.images_per_s) if trial.images_per_s else 0.0


def gain(trial: Trial, other: Trial) -> float:
    """Lower bound of the log ratio of two trials' speeds at the confidence of 1 - LEVEL.

    -inf where there are fewer than two cycles of both.
    """
    return bound([log(one / two) for one, two in zip(trial.images_per_s, other.images_per_s, strict=False)])


def bound(values: Sequence[float]) -> float:
    """Lower one-sided t bound of the mean of values at the confidence of 1 - LEVEL; -inf for fewer than two."""
    if len(values) < 2:
        return float("-inf")
    t = T95[min(len(values) - 1, len(T95)) - 1]
    return mean(values) - t * stdev(values) / sqrt(len(values))


def still_in(speeds: Sequence[Sequence[float]]) -> list[bool]:
    """For each of several settings, true while it may still be the fastest by its blocks; the first always is."""
    best = max(speeds, key=lambda some: geometric_mean(some) if some else 0.0)
    if len(best) < FEWEST_CYCLES:
        return [True] * len(speeds)
    return [
        i == 0 or bound([log(one / two) for one, two in zip(best, some, strict=False)]) <= 0
        for i, some in enumerate(speeds)
    ]


def main() -> None:
    parser = command.parser("framebench.measure.tune", __doc__, decided=("track", "batch_size"))
    command.add_interpreter(parser)
    parser.add_argument("--options", type=json.loads, required=True, help="JSON: option → values")
    arguments = parser.parse_args()
    batch_size = workloads.load(arguments.workload).article_batch_size
    peaks: list[float] = []

    def run(stage: int, several: list[Settings]) -> list[Trial]:
        what = f"tuning {arguments.workload} in {arguments.framework}, stage {stage} of 2: {len(several)} settings"
        print(what, file=sys.stderr, flush=True)
        expected_mib = max(peaks, default=None)
        members = [
            Member(
                replace(request, round=stage, order=i, tuning=settings),
                arguments.log.with_name(f"{arguments.log.stem}-{stage}-{i}.log"),
                expected_mib=expected_mib,
            )
            for i, settings in enumerate(several, start=1)
        ]
        runs = of_block.measure(members, still_in)
        peaks.extend(filter(None, (one["host_rss_peak_mib"] for one in runs)))
        trials = [trial_of(settings, stage, one) for settings, one in zip(several, runs, strict=True)]
        for trial in trials:
            words = ", ".join(f"{name} {value}" for name, value in trial.settings.items())
            outcome = trial.reason or (
                f"{middle(trial):,.0f} images/s in {len(trial.images_per_s)} blocks, {ratio(trial, trials[0])}"
            )
            print(f"    {words}: {outcome}", file=sys.stderr, flush=True)
        return trials

    with command.leased(arguments) as told:
        protocol = told["protocol"]
        blocks = replace(protocol.blocks, count=min(BLOCKS, protocol.blocks.count))
        few = replace(protocol, blocks=blocks)
        request = command.request(told, track="tuned", batch_size=batch_size, protocol=few)
        try:
            chosen, trials = search(arguments.options, run)
        except RuntimeError as error:
            sys.exit(f"{arguments.workload} in {arguments.framework}: {error} (log: {arguments.log})")
    found = {
        "device": arguments.device,
        "workload": arguments.workload,
        "framework": arguments.framework,
        "batch_size": batch_size,
        "chosen": chosen,
        "trials": [asdict(trial) for trial in trials],
    }
    record.write(arguments.output, found)
    arguments.log.write_text(json.dumps(found, indent=1), encoding="utf-8")


def ratio(trial: Trial, default: Trial) -> str:
    """Comparison of a trial with that of the default settings, in words."""
    if trial is default:
        return "the default settings"
    return f"{middle(trial) / middle(default):.2f} of the default, at least {exp(gain(trial, default)):.2f}"


def trial_of(settings: Settings, stage: int, run: dict) -> Trial:
    """The record fields on a run's settings."""
    if run["status"] != "ok":
        return Trial(settings, stage, [], f"{run['status']}: {run['reason']}")
    blocks = [(block["t1_ns"] - block["t0_ns"]) / 1e9 / block["steps"] for block in run["blocks"]]
    return Trial(settings, stage, [run["batch_size"] / step_s for step_s in blocks])


if __name__ == "__main__":
    main()
