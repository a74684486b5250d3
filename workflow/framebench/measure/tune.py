"""Find the settings for track `tuned`: a short search over an adapter's OPTIONS, every trial a fresh process.

Coordinate search, with as many trials for every framework: first the settings of the default track, then each
option in turn with another value, which is kept if it is faster. When all options were tried it begins again
with the best settings so far, until the trials are spent; speeds of the same settings are averaged. A trial
that fails is recorded and its settings are never chosen.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean

from framebench import record, workloads
from framebench.measure import die_with
from framebench.measure.devices import allocation
from framebench.measure.devices.lease import lease
from framebench.measure.supervisor import supervise

Options = Mapping[str, tuple]
Settings = dict[str, object]


@dataclass(frozen=True)
class Trial:
    """One run of the search; `images_per_s` is None where the settings cannot be used, for the `reason`."""

    settings: Settings
    images_per_s: float | None
    reason: str | None = None


def search(options: Options, trials: int, run: Callable[[Settings], Trial]) -> tuple[Settings, list[Trial]]:
    """The best settings, one value of each option, and the trials made in order.

    `options`: name → values, first the default one. `run` makes a trial of settings. Fewer than `trials` are
    made where nothing is left to try; RuntimeError where not even the default settings run.
    """
    best = {name: values[0] for name, values in options.items()}
    made: list[Trial] = []

    def speed(settings: Settings) -> float:
        """Geometric mean over the trials of these settings; 0 where one failed, -1 where there was none."""
        seen = [trial.images_per_s for trial in made if trial.settings == settings]
        if not seen:
            return -1
        return geometric_mean(seen) if all(seen) else 0  # type: ignore[arg-type]

    while len(made) < trials:
        before = len(made)
        for change in _changes(options):
            candidate = best | change
            if len(made) == trials or speed(candidate) == 0 or (change and candidate == best):
                continue
            made.append(run(candidate))
            if len(made) == 1 and not made[0].images_per_s:
                raise RuntimeError(f"the default settings cannot be measured: {made[0].reason}")
            if speed(candidate) > speed(best):
                best = candidate
        if len(made) == before:
            break
    return best, made


def _changes(options: Options) -> Iterator[Settings]:
    """What a pass tries on the best settings: none, then each value of each option."""
    yield {}
    for name, values in options.items():
        for value in values:
            yield {name: value}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.measure.tune", description=__doc__)
    for name in ("device", "workload", "framework", "precision", "input"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--uuid", dest="gpu", type=lambda uuid: {"uuid": uuid}, help="of the GPU to measure on")
    parser.add_argument("--allocated", metavar="MODEL", help="measure on what Slurm allocated: this GPU, or `cpu`")
    parser.add_argument("--options", type=json.loads, required=True, help="JSON: option → its values")
    parser.add_argument("--trials", type=int, required=True, help="runs that the search may make")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True, help="CPU threads for the framework")
    parser.add_argument("--protocol", type=json.loads, required=True, help="JSON, as for framebench.measure")
    parser.add_argument("--data", type=Path, required=True, help="npz with images and labels")
    parser.add_argument("--environment", type=Path, required=True, help="prefix that this interpreter must have")
    parser.add_argument("--lock-digest", required=True)
    parser.add_argument("--site", action="store_true", help="this interpreter is the site's own")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="process to die with (default: the caller)")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON: the settings chosen and all trials")
    arguments = parser.parse_args()
    die_with(arguments.parent)
    batch_size = workloads.load(arguments.workload).article_batch_size
    made = 0

    def run(settings: Settings) -> Trial:
        nonlocal made
        made += 1
        request = (
            {name: value for name, value in vars(arguments).items() if name not in NOT_OF_A_RUN}
            | device
            | {
                "track": "tuned",
                "batch_size": batch_size,
                "round": made,
                "order": made,
                "certificate": None,
                "tuning": settings,
                "data": str(arguments.data),
                "environment": str(arguments.environment),
            }
        )
        try:
            trial = trial_of(settings, supervise(request, arguments.log))
        except FileNotFoundError as error:
            trial = Trial(settings, None, str(error))
        outcome = f"{trial.images_per_s:,.0f} images/s" if trial.images_per_s else trial.reason
        words = ", ".join(f"{name} {value}" for name, value in settings.items())
        what = f"tuning {arguments.workload} in {arguments.framework}, trial {made} of {arguments.trials}"
        print(f"{what}: {words}: {outcome}", file=sys.stderr, flush=True)
        return trial

    device = {"gpu": arguments.gpu} | allocation.bound(arguments.allocated)
    with lease(device["gpu"]["uuid"] if device["gpu"] else arguments.device):
        try:
            chosen, trials = search(arguments.options, arguments.trials, run)
        except RuntimeError as error:
            sys.exit(f"{arguments.workload} in {arguments.framework}: {error} (log: {arguments.log})")
    found = {
        "device": arguments.device,
        "workload": arguments.workload,
        "framework": arguments.framework,
        "batch_size": batch_size,
        "chosen": chosen,
        "trials": [dataclasses.asdict(trial) for trial in trials],
    }
    record.write(arguments.output, found)


NOT_OF_A_RUN = ("options", "trials", "parent", "log", "output")


def trial_of(settings: Settings, run: dict) -> Trial:
    """What a run's record says about its settings."""
    if run["status"] == "ok":
        return Trial(settings, run["images_per_s"])
    return Trial(settings, None, f"{run['status']}: {run['reason']}")


if __name__ == "__main__":
    main()
