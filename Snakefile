"""Keras or PyTorch, for my model, on my device: from config.yaml to tables, figures and a verdict."""

import atexit
import sys

from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/workflow")
# Every run says one line itself; these two of the scheduler before each would drown it.
logger.addFilter(
    lambda record: not record.getMessage().startswith(("Select jobs", "Execute "))
)


include: "workflow/rules/configuration.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/environments.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/certify.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/aa.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/largest.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/merge.smk"


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        expand(rules.verdict.output, language=CONFIG.languages),
        rules.report.input,
        rules.complete.output,
        rules.largest_batch_complete.output if LARGEST_BATCH else [],


# As `localrules:` would, for every rule that there is.
workflow.localrules(
    *(rule.name for rule in workflow.rules if rule.name not in MEASURING)
)


if REQUESTS:
    keep_what_slurm_tells_a_job()
    atexit.register(tell_submissions)


onstart:
    refuse_wrong_place()
    tell_failed_jobs()
    if not REQUESTS:
        bindings.keep(ASKED, DEVICES, RESULTS)


onsuccess:
    print_answer()


onerror:
    set_aside_failures()
    print_answer()
