"""Keras or PyTorch, for my model, on my device: from config.yaml to tables, figures and a verdict."""

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


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        expand(rules.verdict.output, language=CONFIG.languages),
        rules.complete.output,


# Nodes of a cluster may have no network, and its login node no GPU: only measuring is for the nodes.
workflow.localrules(
    *(rule.name for rule in workflow.rules if rule.name not in ("measure", "tune"))
)


onstart:
    refuse_wrong_place()
    devices.keep(ASKED, DEVICES, RESULTS)


onsuccess:
    print_answer()


onerror:
    set_aside_failures()
    print_answer()
