# The steps of an invocation before its first job: it refuses here what would fail later, and keeps what an archive needs.
import json
import os
import subprocess
from pathlib import Path

from framebench import files, variables
from framebench.exchange import results
from framebench.plan import driver


def refuse_old_driver():
    """End before anything is installed that the driver of this machine, or one of its GPUs, cannot use."""
    if not (CONFIG.gpus and internals.planned(workflow, ["environment", *MEASURING])):
        return
    locks = {
        framework: environments.lock_of(framework, CONFIG.packages)
        for framework in INSTALLED
    }
    if problem := driver.problem(locks, CONFIG.gpus):
        sys.exit(problem)


def tell_kept_out():
    """Name the variables of this shell that would change numbers, and that no measured process gets."""
    names = variables.kept_out(os.environ, site=bool(CONFIG.interpreters))
    if names and internals.planned(workflow, MEASURING):
        print(f"not passed on to the runs: {', '.join(names)}", file=sys.stderr)


def refuse_missing_interpreters():
    """End an invocation that would start a site's interpreter which cannot be used here."""
    starting = [
        *MEASURING,
        "site_packages",
        "observe",
        "certificate",
        "proof",
        "own_certificate",
        "own_story",
    ]
    if internals.planned(workflow, starting) or internals.asks_for(
        workflow, "environments"
    ):
        for one in map(environment, CONFIG.frameworks):
            if one.fault:
                sys.exit(f"{' + '.join(FILES)}: {one.fault}")


def rehearse():
    """End an invocation that would measure and then fail to draw, before it measures."""
    if internals.planned(workflow, MEASURING) and internals.planned(
        workflow, ["figure", "page"]
    ):
        try:
            shell(
                "python -P -m framebench rehearse --results {RESULTS:q} --languages {CONFIG.languages}"
            )
        except subprocess.CalledProcessError:
            sys.exit(1)


def keep_planned():
    """Write the configuration, for an archive, and the planned records, as far as they are known."""
    if CONFIG.imported:
        return
    with files.whole(Path(RESULTS, results.CONFIG), encoding="utf-8") as file:
        json.dump(config, file, indent=1)
    for name, campaign in CAMPAIGNS.items():
        file = Path(PLANNED.format(campaign=name))
        file.parent.mkdir(parents=True, exist_ok=True)
        matrix.write_planned(campaign, Path(f"{campaign.results}/rounds.json"), file)
