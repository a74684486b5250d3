"""Find the settings for track `tuned`: a short search over an adapter's OPTIONS, every trial a fresh process.

Coordinate search, with as many trials for every framework: first the settings of the default track, then each
option in turn with another value, which is kept if it is faster. When all options were tried it begins again
with the best settings so far, until the trials are spent; speeds of the same settings are averaged. A trial
that fails is recorded and its settings are never chosen.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from statistics import geometric_mean

from framebench import record, workloads
from framebench.measure import command
from framebench.measure import round as of_block
from framebench.measure.supervisor import Member

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
    parser = command.parser("framebench.measure.tune", __doc__, decided=("track", "batch_size"))
    command.add_interpreter(parser)
    parser.add_argument("--options", type=json.loads, required=True, help="JSON: option → its values")
    parser.add_argument("--trials", type=int, required=True, help="runs that the search may make")
    arguments = parser.parse_args()
    made = 0

    def run(settings: Settings) -> Trial:
        nonlocal made
        made += 1
        asked = replace(request, round=made, order=made, tuning=settings)
        (run,) = of_block.measure([Member(asked, arguments.log)])
        trial = trial_of(settings, run)
        outcome = f"{trial.images_per_s:,.0f} images/s" if trial.images_per_s else trial.reason
        words = ", ".join(f"{name} {value}" for name, value in settings.items())
        what = f"tuning {arguments.workload} in {arguments.framework}, trial {made} of {arguments.trials}"
        print(f"{what}: {words}: {outcome}", file=sys.stderr, flush=True)
        return trial

    batch_size = workloads.load(arguments.workload).article_batch_size
    with command.leased(arguments) as told:
        request = command.request(told, track="tuned", batch_size=batch_size)
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
        "trials": [asdict(trial) for trial in trials],
    }
    record.write(arguments.output, found)


def trial_of(settings: Settings, run: dict) -> Trial:
    """What a run's record says about its settings."""
    if run["status"] == "ok":
        return Trial(settings, run["images_per_s"])
    return Trial(settings, None, f"{run['status']}: {run['reason']}")


if __name__ == "__main__":
    main()
