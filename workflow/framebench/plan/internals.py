"""Every use of Snakemake beyond its public interface, with the reason.

`workflow` is the object of that name in a Snakefile. A new Snakemake that changes any of it fails the tests of plans,
of bad input or of a cluster.
"""

import logging
import sys
import time
from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import Any

import psutil
from snakemake.linting.rules import RuleLinter  # type: ignore[import-untyped]

from framebench.plan import slurm


def quiet_scheduler(logger: logging.Logger) -> None:
    """Drop two lines of the scheduler before each job, since every run prints one itself; no option is as narrow."""
    scheduler = ("Select jobs", "Execute ")
    logger.addFilter(lambda record: not record.getMessage().startswith(scheduler))


def given_files(workflow: Any) -> list[str]:
    """The files given by --configfile, for messages; until `configfile:` there are no others."""
    return list(workflow.configfiles)


def given_values(workflow: Any) -> list[str]:
    """The entries KEY=VALUE of --config as they were written: Snakemake reads `true` and `{threads: 1}` as texts."""
    return list(workflow.config_settings.config_args)


def explain_to_linter() -> None:
    """Have `--lint` tell once why rules have no conda and no container, its only complaint, which no option stops."""

    @cache
    def answer() -> None:
        print(
            "No rule has conda or a container: environments are pip's, from locks with hashes, and made by rules of "
            "their own in workflow/rules/environments.smk.",
            file=sys.stderr,
        )

    def accepted(linter: RuleLinter, rule: Any) -> Iterator[Any]:
        answer()
        yield from ()

    RuleLinter.lint_missing_software_definition = accepted


def keep_local(workflow: Any, but: Collection[str]) -> None:
    """Run every rule here except these, as `localrules:` does for named rules."""
    workflow.localrules(*(rule.name for rule in workflow.rules if rule.name not in but))


def planned(workflow: Any, rules: Collection[str]) -> list[Any]:
    """The jobs of these rules in this invocation's plan; hooks get no plan."""
    return [job for job in workflow.dag.needrun_jobs() if job.rule.name in rules]


def asks_for(workflow: Any, rule: str) -> bool:
    """True where this invocation asks for a rule, done already or not."""
    return any(job.rule.name == rule for job in workflow.dag.jobs)


def on_cluster(workflow: Any) -> bool:
    """True where jobs are for other hosts."""
    return workflow.non_local_exec


def is_job(workflow: Any) -> bool:
    """True in a process that is itself a job on a cluster."""
    return workflow.remote_exec


def tell_submissions(workflow: Any, rules: Collection[str]) -> None:
    """After a dry run, report how many calls of sbatch a real one would make, and how many runs they cover."""
    dag = workflow.dag
    # Not `planned`: after a dry run every job counts as made.
    jobs = [job for job in dag.jobs if dag.needrun(job) and job.rule.name in rules] if workflow.dryrun else []
    if jobs:
        runs = sum(len(job.output) for job in jobs)
        planned_s = time.time() - psutil.Process().create_time()
        line = f"{len(jobs)} calls of sbatch for {runs} runs; planned in {planned_s:.0f} s"
        print(line, file=sys.stderr)


def tell_failed_jobs(workflow: Any) -> None:
    """Report each job that fails on a cluster, with its reason.

    For a group, Snakemake drops the executor's message, also where Slurm refused it:
    https://github.com/snakemake/snakemake-executor-plugin-slurm/issues/456
    """
    if not on_cluster(workflow):
        return
    # Not at the top: every job of the cluster reads this file, and the import takes long.
    from snakemake_executor_plugin_slurm import Executor  # type: ignore[import-untyped]  # noqa: PLC0415

    print_job_error: Callable = Executor.print_job_error

    def told(executor: Any, job_info: Any, msg: str | None = None, **kwargs: Any) -> None:
        line = slurm.failure(job_info.job.name, job_info.external_jobid, msg or "")
        print(line, file=sys.stderr, flush=True)
        print_job_error(executor, job_info, msg, **kwargs)

    Executor.print_job_error = told
