"""Every use of Snakemake beyond its public interface, with the reason.

`workflow` is the object of that name in a Snakefile. A new Snakemake that changes any of it fails the tests of plans,
of bad input or of a cluster.
"""

import json
import logging
import shlex
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from snakemake.linting.rules import RuleLinter  # type: ignore[import-untyped]
from snakemake.settings import types  # type: ignore[import-untyped]

from framebench.plan import slurm
from framebench.plan.refusals import ConfigError
from framebench.plan.yaml_file import readable


def quiet(logger: logging.Logger) -> None:
    """Drop lines that come with each job; no option is as narrow.

    Two are the scheduler's, since every run prints one itself; two are the executor's, on requests that are null.
    """
    dropped = ("Select jobs", "Execute ", "No wall time information", "No job memory information")
    logger.addFilter(lambda record: not record.getMessage().startswith(dropped))


def read_strictly() -> None:
    """Have each file of --configfile read as config.yaml is, also one that only a user's own profile names.

    Snakemake ends in a traceback where it is missing.
    """
    load = types.load_configfile

    def loaded(path: Path) -> Any:
        try:
            readable(path)
        except ConfigError as error:
            sys.exit(f"configfile of the command line or of a profile (--profile, SNAKEMAKE_PROFILE): {error}")
        return load(path)

    types.load_configfile = loaded


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


def allow_only(rules: Collection[str]) -> None:
    """Have this invocation make files by these rules alone, as `--allowed-rules` does.

    Options are read after the Snakefile, which cannot set them.
    """
    # Not at the top: by itself, the module imports itself in a circle.
    from snakemake import workflow as of_snakemake  # type: ignore[import-untyped]  # noqa: PLC0415

    dag = of_snakemake.DAG

    def plan(workflow: Any, of_dag: Any, **options: Any) -> Any:
        targets = {rule.name for rule in of_dag if not rule.output}
        return dag(workflow, of_dag, **options | {"rules_allowed_for_needrun": frozenset({*rules, *targets})})

    of_snakemake.DAG = plan


def planned(workflow: Any, rules: Collection[str]) -> list[Any]:
    """The jobs of these rules in this invocation's plan; hooks get no plan."""
    return [job for job in workflow.dag.needrun_jobs() if job.rule.name in rules]


def unmade(workflow: Any) -> dict[str, str]:
    """The files that this invocation was to make and has not, each with the rule that makes it; after it has failed."""
    return {str(path): job.rule.name for job in workflow.dag.needrun_jobs() for path in job.output}


def with_rules(workflow: Any, rules: Collection[str], targets: Collection[str], folder: Path) -> list[str]:
    """A command that makes these targets here, with the configuration of this invocation, by these rules alone.

    Values of --config are given as a file in `folder`, where they keep their types.
    """
    given = given_files(workflow)
    if values := workflow.config_settings.config:
        given.append(str(folder / "config.json"))
        Path(given[-1]).write_text(json.dumps(dict(values)), encoding="utf-8")
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", workflow.main_snakefile, "--cores", str(workflow.cores)),
        # The other invocation may be one on a cluster, and still has the lock of this folder.
        *("--profile", "none", "--nolock", "--no-hooks", "--quiet", "all"),
        *(["--configfile", *given] if given else []),
        *("--allowed-rules", *rules, "--", *targets),
    ]


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


def submit_as_asked(workflow: Any) -> None:
    """Have jobs submitted with the account and partition that a device names, and with none where it names none.

    The executor would guess an account by sacct, and check each by sacctmgr, which fail on a cluster without accounting
    and for a user without a name; sbatch knows both defaults, and was asked about each device before.
    """
    if not on_cluster(workflow):
        return
    import snakemake_executor_plugin_slurm as plugin  # type: ignore[import-untyped]  # noqa: PLC0415

    partition = plugin.Executor.get_partition_arg

    def account(executor: Any, job: Any) -> Iterator[str]:
        asked = job.resources.get("slurm_account")
        yield f" -A {shlex.quote(str(asked))}" if asked else ""

    def place(executor: Any, job: Any) -> str:
        return partition(executor, job) if job.resources.get("slurm_partition") or executor._partitions else ""

    plugin.Executor.get_account_arg = account
    plugin.Executor.get_partition_arg = place


def lose_no_job(workflow: Any) -> None:
    """Have every job told as ended once it has, by squeue alone.

    While Slurm does not answer, jobs go on: the executor would forget them and wait for ever. A job that squeue has
    forgotten has ended, well where its files are there, which Snakemake checks: the executor would wait for it for
    ever. Nothing is asked of sacct, which knows nothing without accounting; with it, the executor would submit no more
    jobs after the loss of a node: https://github.com/snakemake/snakemake-executor-plugin-slurm/issues/485
    """
    if not on_cluster(workflow):
        return
    import snakemake_executor_plugin_slurm as plugin  # noqa: PLC0415

    query, check = plugin.query_job_status, plugin.Executor.check_active_jobs
    asked: dict[str, str] = {}

    async def checked(executor: Any, jobs: Any) -> AsyncIterator[Any]:
        asked.clear()
        # squeue lists waiting jobs of an array, of the form 12_3, together.
        asked.update((job.external_jobid, "COMPLETED") for job in jobs if "_" not in job.external_jobid)
        async for job in check(executor, jobs):
            yield job

    async def states(command: str, logger: Any) -> tuple[dict[str, str], float]:
        found, duration_s = await query(command, logger)
        return ({}, 0.0) if found is None else (asked | found, duration_s)

    plugin.Executor.check_active_jobs = checked
    plugin.query_job_status = states
    plugin.is_query_tool_available = lambda name: False
