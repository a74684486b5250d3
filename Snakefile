"""Keras or PyTorch, for my model, on my device: from config.yaml to tables, figures and a verdict."""

import atexit
import sys

from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/workflow")

from framebench import interrupts

interrupts.end_in_a_line()


include: "workflow/rules/configuration.smk"
include: "workflow/rules/measuring.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/environments.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/certify.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/merge.smk"
include: "workflow/rules/results.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/aa.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/outcome.smk"


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.report.input,
        f"{RESULTS}/.complete",
        rules.largest_batch_complete.output if LARGEST_BATCH else [],


internals.quiet_scheduler(logger)
internals.keep_local(workflow, but=MEASURING)


if REQUESTS:
    keep_what_slurm_tells_a_job()
    atexit.register(internals.tell_submissions, workflow, MEASURING)


onstart:
    refuse_wrong_place()
    rehearse()
    internals.tell_failed_jobs(workflow)
    if not REQUESTS:
        bindings.keep(ASKED, DEVICES, RESULTS)
    keep_planned()


onsuccess:
    end_on_answer()


onerror:
    set_aside_failures()
    end_on_answer(failed=True)
