# Jobs on the nodes of a cluster, which may have no network; its login node may have no GPU.
import os
from pathlib import Path

from framebench.plan import slurm

# Rules whose jobs run on the nodes.
MEASURING = ["tune", "search_largest_batch"] + [
    shape.rule(campaign)
    for campaign, config_of_campaign in CAMPAIGNS.items()
    for shape in matrix.shapes(config_of_campaign)
]


def slurm_resources(runs=1):
    """The requests to a cluster for jobs of so many runs, as functions for `resources`; nothing on one machine."""

    def asked(name):
        return lambda wildcards: REQUESTS[wildcards.device].resource(name, runs)

    # Only the requested ones: each is a function that Snakemake calls for every run.
    found = {
        name: asked(name) for request in CONFIG.requests for name in request.resources
    }
    # The job itself measures: the executor would start a step in it by srun, without the variable SLURM_CONF, and the
    # job would end with that step where its node has lost its daemon.
    return found | {"mpi": ""} if found else {}


def refuse_wrong_place():
    """End where devices and profile do not fit, where Slurm would refuse, or where earlier jobs go on."""
    if not internals.planned(workflow, MEASURING):
        return
    try:
        slurm.check_place(CONFIG.requests, internals.on_cluster(workflow), Path.cwd())
        for request in CONFIG.requests:
            slurm.check_request(
                request,
                runs=max(len(shape.members()) for shape in matrix.shapes(CONFIG)),
            )
    except slurm.PlaceError as error:
        sys.exit(str(error))


def tell_other_place():
    """Say where this measures outside an allocation whose shell it is in."""
    beside = slurm.beside_job(os.environ)
    if beside and not REQUESTS and internals.planned(workflow, MEASURING):
        print(beside, file=sys.stderr)


def prepare_environment():
    """In a job, pass its allocation to the measuring process, under names that the executor does not drop on the way.

    Elsewhere, call Slurm's commands without variables that change their meaning.
    """
    if internals.is_job(workflow):
        told = {name for name in os.environ if name.startswith("SLURM_")}
        os.environ.update({f"FRAMEBENCH_{name}": os.environ[name] for name in told})
    else:
        for name in slurm.disturbing(os.environ):
            del os.environ[name]
