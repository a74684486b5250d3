"""A job of a cluster is bound to its one allocated GPU, or says why it has none; in child processes."""

import json

import pytest

import standin
from standin import UUIDS

pytestmark = pytest.mark.check

BOUND = "import json; from framebench.measure.devices import allocation; print(json.dumps(allocation.bound({asked!r})))"
FACTS = "import json; from framebench.measure.devices import allocation; print(json.dumps(allocation.facts()))"
JOB = {"SLURM_JOB_ID": "17", "SLURMD_NODENAME": "node02"}


def bound(stand_in, asked: str, **environment: str) -> list[str | None]:
    return json.loads(stand_in.child(BOUND.format(asked=asked), **JOB | environment))


@pytest.mark.parametrize("visible", ["1", UUIDS[1]])
def test_the_gpu_of_a_job_is_the_one_that_cuda_shows_it(stand_in, visible):
    assert bound(stand_in, "l4", CUDA_VISIBLE_DEVICES=visible) == [UUIDS[1], None]


def test_a_mig_device_is_one_too(stand_in):
    stand_in.cards[0].mig_uuid = standin.MIG_UUIDS[0].encode()
    assert bound(stand_in, "H200", CUDA_VISIBLE_DEVICES=standin.MIG_UUIDS[0]) == [standin.MIG_UUIDS[0], None]


@pytest.mark.parametrize(
    ("asked", "visible", "reason"),
    [
        ("p100", "0", f"Slurm job 17 on node node02 has {UUIDS[0]} (NVIDIA H200), and p100 was requested; where that"),
        ("h200", "0,1", f"Slurm job 17 on node node02 has 2 GPUs, and a run is of one: {UUIDS[0]} (NVIDIA H200), "),
        ("h200", "", "Slurm job 17 on node node02 has no GPU, and h200 was requested: CUDA cannot be asked"),
    ],
)
def test_another_model_and_more_or_fewer_gpus_than_one_are_refused(stand_in, asked, visible, reason):
    uuid, refused = bound(stand_in, asked, CUDA_VISIBLE_DEVICES=visible)
    assert uuid is None
    assert refused.startswith(reason)


def test_a_card_whose_name_is_unknown_is_not_taken_for_the_one_requested(stand_in):
    stand_in.cards[0].name = b"\xf8\x95"
    uuid, refused = bound(stand_in, "h200", CUDA_VISIBLE_DEVICES="0")
    assert uuid is None
    assert f"has {UUIDS[0]} (of unknown name), and h200 was requested" in refused


def test_a_node_without_driver_is_refused(stand_in_libraries):
    environment = standin.without_driver(stand_in_libraries) | JOB
    uuid, refused = json.loads(standin.child(BOUND.format(asked="h200"), environment))
    reason = "Slurm job 17 on node node02 has no GPU, and h200 was requested: libnvidia-ml.so.1 is there, but no driver"
    assert uuid is None
    assert refused.startswith(reason)


def test_outside_a_job_it_is_said_how_to_get_into_one(stand_in):
    code = "import os; os.environ.pop('SLURM_JOB_ID', None); " + BOUND.format(asked="h200")
    assert json.loads(stand_in.child(code))[1].endswith("snakemake --profile profiles/slurm")


def test_a_processor_needs_no_driver(stand_in_libraries):
    environment = standin.without_driver(stand_in_libraries) | JOB
    assert json.loads(standin.child(BOUND.format(asked="cpu"), environment)) == [None, None]


def test_a_record_tells_job_node_and_what_else_was_allocated(stand_in):
    told = {"CUDA_VISIBLE_DEVICES": "1", "SLURM_CPUS_ON_NODE": "4", "LOADEDMODULES": "cuda/12.4"}
    facts = json.loads(stand_in.child(FACTS, **JOB | told))
    assert (facts["slurm_job_id"], facts["slurm_node"]) == ("17", "node02")
    assert told.items() <= json.loads(facts["slurm_allocation"]).items()
    of_job = {"FRAMEBENCH_SLURM_RESTART_COUNT": "1", "FRAMEBENCH_SLURM_CPUS_ON_NODE": "8", "SLURM_CPUS_ON_NODE": "4"}
    allocated = json.loads(json.loads(stand_in.child(FACTS, **JOB | of_job))["slurm_allocation"])
    assert (allocated["SLURM_RESTART_COUNT"], allocated["SLURM_CPUS_ON_NODE"]) == ("1", "4"), (
        "the step's own goes first"
    )
    without = "import os; os.environ.pop('SLURM_JOB_ID', None); " + FACTS
    assert json.loads(stand_in.child(without)) == {}


def test_the_shell_of_salloc_on_the_login_node_is_no_job(stand_in):
    """It has the id of a job whose node nothing runs on: https://github.com/trilinos/Trilinos/pull/2941."""
    outside = "import os; os.environ.pop('SLURMD_NODENAME', None); os.environ['SLURM_JOB_ID'] = '17'; "
    assert json.loads(stand_in.child(outside + FACTS)) == {}
    assert "this is no Slurm job" in json.loads(stand_in.child(outside + BOUND.format(asked="h200")))[1]
