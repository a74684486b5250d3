# What the rules call. Numbers among `params` stand there with their option, since Snakemake compares params as a set of
# values, to which two numbers that change places are the same.
import dataclasses
import json
import os
import shlex
import time
from pathlib import Path

import psutil

from framebench import languages, workloads
from framebench.frameworks import self_comparison
from framebench.plan import catalogue, matrix
from framebench.analyse import failures
from framebench.analyse.table import read_records
from framebench.figures import names
from framebench.record import CELL

# Rules whose jobs are for the nodes of a cluster, which may have no network; its login node may have no GPU.
MEASURING = ("measure", "tune", "search_largest_batch")
# What is trained on, by the kind that a workload names.
DATA = {
    "images": CONFIG.data,
    "reviews": CONFIG.reviews,
    "large-images": CONFIG.large_images,
}


def certificate_id(wildcards):
    return catalogue.certificate_id(
        wildcards.framework,
        wildcards.workload,
        environment_of(wildcards).digest,
    )


def data_of(wildcards):
    """The samples of a workload."""
    return expand(rules.data.output, kind=workloads.load(wildcards.workload).data)


def environment_of(wildcards):
    """Where a framework, or the one behind a name, is found."""
    return ENVIRONMENTS[self_comparison.base(wildcards.framework)]


def request_options(wildcards, protocol=CONFIG.protocol):
    """What every command that measures is told: the cell, as far as the rule names it, where to measure, and how."""
    environment = environment_of(wildcards)
    options = [
        f"--{name.replace('_', '-')} {wildcards[name]}"
        for name in CELL
        if name in wildcards.keys()
    ]
    options += [
        place_of(wildcards),
        f"--environment {environment.prefix} --lock-digest {environment.digest}",
        "--site" if environment.packages else "",
        f"--protocol {shlex.quote(json.dumps(dataclasses.asdict(protocol)))}",
    ]
    return " ".join(filter(None, options))


def place_of(wildcards):
    """The GPU that a device is, or what a job of a cluster is to have been given; nothing for this machine's CPU."""
    if request := REQUESTS.get(wildcards.device):
        return f"--allocated {shlex.quote(request.model or slurm.CPU)}"
    gpu = DEVICES[wildcards.device]
    return f"--uuid {gpu.uuid}" if gpu else ""


def modules_of(wildcards):
    """What loads the environment modules of a device; nothing where it names none."""
    request = REQUESTS.get(wildcards.device)
    return slurm.load_modules(request.modules) if request else ""


def refuse_wrong_place():
    """End where devices and profile do not fit, where Slurm would refuse, or where jobs of before go on."""
    if not any(job.rule.name in MEASURING for job in workflow.dag.needrun_jobs()):
        return
    try:
        slurm.check_place(CONFIG.requests, workflow.non_local_exec, Path.cwd())
        for request in CONFIG.requests:
            slurm.check_request(request, runs=len(CONFIG.frameworks))
    except slurm.PlaceError as error:
        sys.exit(str(error))


def keep_what_slurm_tells_a_job():
    """Give it to the step of the job that measures under names that the executor does not drop between the two."""
    if workflow.remote_exec:
        told = {name for name in os.environ if name.startswith("SLURM_")}
        os.environ.update({f"FRAMEBENCH_{name}": os.environ[name] for name in told})


def tell_failed_jobs():
    """Have each job that fails on a cluster told, and why: of a group, Snakemake drops what its executor says."""
    if not workflow.non_local_exec:
        return
    # Not above: every job of the cluster reads this file, and the import takes long.
    from snakemake_executor_plugin_slurm import Executor

    print_job_error = Executor.print_job_error

    def told(executor, job_info, msg=None, **kwargs):
        line = slurm.failure(job_info.job.name, job_info.external_jobid, msg or "")
        print(line, file=sys.stderr, flush=True)
        print_job_error(executor, job_info, msg, **kwargs)

    Executor.print_job_error = told


def tell_submissions():
    """After a dry run, what a real one would submit to a cluster: a group of runs is one call of sbatch."""
    if not workflow.dryrun:
        return
    dag = workflow.dag
    runs = [job for job in dag.jobs if dag.needrun(job) and job.rule.name in MEASURING]
    calls = {dag.get_job_group(job) or job for job in runs}
    planned_s = time.time() - psutil.Process().create_time()
    if runs:
        print(
            f"{len(calls)} calls of sbatch for {len(runs)} runs; planned in {planned_s:.0f} s",
            file=sys.stderr,
        )


def slurm_resources(runs=1):
    """What a rule's jobs of so many runs ask a cluster for, as functions for `resources`; nothing on one machine."""

    def asked(name):
        return lambda wildcards: REQUESTS[wildcards.device].resource(name, runs)

    # No more than are asked for: each is a function that Snakemake calls for every run.
    return {
        name: asked(name) for request in CONFIG.requests for name in request.resources
    }


def tuning_of(wildcards):
    """The settings found for a cell of track `tuned`; nothing for one of track `default`."""
    return expand(TUNING, **wildcards) if wildcards.track == "tuned" else []


def place(wildcards):
    """Where a run stands in its campaign."""
    return PLACES[wildcards.campaign][matrix.run_of(wildcards)]


def asked_records(wildcards):
    """The records that the rules ask for beyond RECORDS."""
    if not ROUNDS:
        return []
    asked = matrix.asked_rounds(Path(checkpoints.precision.get().output[0]))
    known = set(matrix.runs(CONFIG))
    return [
        matrix.record_path(RESULTS, run)
        for run in matrix.runs(CONFIG, asked)
        if run not in known
    ]


def texts(wildcards):
    """The words of a language, and those that say which it must have."""
    return sorted(
        f"workflow/framebench/languages/{name}.yaml"
        for name in {wildcards.language, languages.REFERENCE}
    )


def every_language(figures):
    return expand(
        f"{FIGURE}.{{format}}",
        language=CONFIG.languages,
        figure=figures,
        format=FORMATS,
    )


def pictures_of(wildcards):
    """The figures of a language, for its page."""
    folder = f"{RESULTS}/figures/{wildcards.language}/"
    return [
        figure
        for figure in rules.figures.input
        if figure.startswith(folder) and figure.endswith(".svg")
    ]


def merged_files(wildcards):
    """What is there of the parts: one that is missing, the merge names."""
    paths = [Path(part.path) for part in CONFIG.merge]
    inside = [
        path.glob(pattern)
        for path in paths
        for pattern in ("runs/**/*.json", "certificates/*/*.json", "rounds.json")
        if path.is_dir()
    ]
    return [
        *filter(Path.is_file, paths),
        *sorted(file for files in inside for file in files),
    ]


def merged_certificates(wildcards):
    folder = Path(checkpoints.merged_records.get().output.certificates)
    return sorted(folder.glob("*/*.json"))


def merged_figures(wildcards):
    """The figures of what was merged, in the language of a page."""
    records = read_records(Path(checkpoints.merged_records.get().output.plan))
    cells = list(dict.fromkeys(matrix.run_of(record).cell for record in records))
    on_gpus = any(record["device_uuid"] for record in records)
    return expand(
        f"{MERGED}/figures/{{language}}/{{figure}}.{{format}}",
        language=wildcards.language,
        figure=[*ARTICLE_2018, *names.of_cells(cells, on_gpus)],
        format=FORMATS,
    )


def set_aside_failures():
    """Free the places of failed runs, so that the next invocation measures them again and nothing else.

    On a cluster the others of their block and round too: measured in another job, they would be of another GPU.
    """
    for campaign in CAMPAIGNS.values():
        for runs in matrix.together(matrix.campaign(campaign)):
            failures.set_aside(
                [Path(matrix.record_path(campaign.results, run)) for run in runs],
                together=bool(REQUESTS),
            )
    failures.set_aside([], map(Path, matrix.largest_batch_paths(CONFIG)))


def print_answer():
    """End on what the reader came for."""
    merges = any(job.rule.name == "merge" for job in workflow.dag.jobs)
    folder = MERGED if merges else RESULTS
    verdict = Path(folder, f"verdict.{CONFIG.languages[0]}.txt")
    if verdict.exists():
        page = f"{folder}/report.{CONFIG.languages[0]}.html"
        print(
            f"\n{verdict.read_text()}\nPage: {page}   Tables: {folder}/*.csv   Figures: {folder}/figures/",
            file=sys.stderr,
        )
