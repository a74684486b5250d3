"""Keras or PyTorch, for my model, on my device: from config.yaml to tables, figures and a verdict."""

import atexit
import sys
from pathlib import Path

from snakemake.logging import logger

sys.path.insert(0, f"{workflow.basedir}/workflow")

from framebench import interrupts
from framebench.plan import start

start.refuse_other_packages()
start.refuse_other_place(Path(workflow.basedir))
start.refuse_no_cores(workflow.cores)
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
include: "workflow/rules/onstart.smk"
include: "workflow/rules/outcome.smk"


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.report.input,
        f"{RESULTS}/.complete" if not CONFIG.imported else [],
        rules.largest_batch_complete.output
        if LARGEST_BATCH and not CONFIG.imported
        else [],


internals.quiet(logger)
internals.explain_to_linter()
internals.keep_local(workflow, but=MEASURING)


if REQUESTS:
    prepare_environment()
    atexit.register(internals.tell_submissions, workflow, MEASURING)


onstart:
    refuse_wrong_place()
    tell_other_place()
    refuse_missing_interpreters()
    refuse_old_driver()
    tell_kept_out()
    rehearse()
    internals.tell_failed_jobs(workflow)
    internals.submit_as_asked(workflow)
    internals.lose_no_job(workflow)
    if not REQUESTS:
        bindings.keep(ASKED, DEVICES, RESULTS)
    keep_planned()


onsuccess:
    end_on_answer()


onerror:
    end_on_answer(failed=True)
