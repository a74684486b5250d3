"""A campaign on a real Slurm: real sbatch, real nodes, and each fault that one host can show."""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import ANOTHER_VIEW, URGENT, Cluster

from conftest import PROJECT, TINY, Workspace, install_cpu_builds_for_cuda, make_workspace
from framebench.plan import config, matrix, slurm
from standin import UUIDS, StandIn
from standin.sitecustomize import ASLEEP

pytestmark = [pytest.mark.all, pytest.mark.usefixtures("installed")]

# The model of each node's cards, as NVML names it; Slurm has its own name for it.
MODELS = {"node01": "Tesla P100-PCIE-16GB", "node02": "Tesla K80"}
CARDS = {node: tuple(f"GPU-{number}{uuid[5:]}" for uuid in UUIDS) for number, node in enumerate(MODELS)}
# Ask whether jobs have ended when most have, after 7, 24 and 51 seconds, and wait for no shared folder.
SNAKEMAKE = ("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "7", "--latency-wait", "5")
RECORDS = "results/measurements.csv"
# The rule by which Slurm's comment on a job names it.
RULE = "rule_measure_article_cnn_default_float32_device"
ON_A_STAND_IN = PROJECT / "tests/standin/sitecustomize.py"
SMALL = {"cpus_per_task": 2, "mem_mb": 4000}
P100 = {"gpu_model": "p100", "partition": "gpu"} | SMALL
K80 = {"gpu_model": "tesla-k80", "partition": "gpu"} | SMALL
PROCESSOR = {"kind": "cpu", "partition": "cpu"} | SMALL


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, whose commands this process and its children find."""
    if missing := Cluster.missing():
        pytest.skip(f"no Slurm: {missing}")
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(autouse=True)
def empty_queue(cluster: Cluster) -> Iterator[None]:
    """A test that fails leaves no job behind that the next would take for its own."""
    yield
    cluster.cancel_all()


@pytest.fixture(scope="module")
def drivers(cluster: Cluster, stand_in_libraries: Path) -> dict[str, StandIn]:
    """The stand-in of each node that has GPUs, with cards of its model only."""
    found = {}
    for node, model in MODELS.items():
        found[node] = driver = StandIn(stand_in_libraries, cluster.folder / f"{node}.cards")
        for card, uuid in zip(driver.cards, CARDS[node], strict=True):
            card.uuid, card.name = uuid.encode(), model.encode()
        cluster.install_driver(node, variables(driver))
    return found


def variables(driver: StandIn) -> dict[str, str]:
    return {name: driver.environment[name] for name in ("LD_LIBRARY_PATH", "FRAMEBENCH_STAND_IN")}


def campaign(folder: Path, devices: dict, frameworks=("pytorch",), **changes) -> Workspace:
    """A folder whose runs on a GPU are made by the installed CPU builds, on the processor of the GPU's node.

    Everything else is as with a real card: the build for CUDA is requested, the job is bound to its GPU, and the
    measuring process asks CUDA for it. Records say that the card was a stand-in.
    """
    folder.mkdir(exist_ok=True)
    workspace = make_workspace(folder)
    install_cpu_builds_for_cuda(folder)
    shutil.copy(ON_A_STAND_IN, folder / "workflow")
    workspace.configure(
        devices=devices, frameworks=list(frameworks), question=None, baseline=frameworks[0], packages="cuda"
    )
    workspace.configure(**changes)
    return workspace


@contextlib.contextmanager
def asleep(cluster: Cluster, drivers: dict[str, StandIn], node: str, framework: str = "") -> Iterator[None]:
    """Runs on this node, of one framework or all, begin to measure when this ends and use no processor until then."""
    night = cluster.folder / f"night-on-{node}"
    night.write_text(framework, encoding="utf-8")
    own = variables(drivers[node]) if node in drivers else {}
    cluster.install_driver(node, own | {ASLEEP: str(night)})
    try:
        yield
    finally:
        cluster.install_driver(node, own)
        night.unlink()


def found(workspace: Workspace) -> list[dict]:
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (workspace.folder / "results" / "runs").rglob("round-*.json")
    ]


def rows(workspace: Workspace) -> list[tuple[str, ...]]:
    """Rows of the table of measurements: each run with its status and its certificate's id."""
    columns = ("device", "workload", "framework", "batch_size", "round", "status", "certificate", "lock_digest")
    with (workspace.folder / RECORDS).open(encoding="utf-8") as file:
        return sorted(tuple(row[column] for column in columns) for row in csv.DictReader(file))


def ended(process: subprocess.Popen) -> str:
    printed, _ = process.communicate(timeout=300)
    return printed


def interrupt(process: subprocess.Popen) -> None:
    """Ctrl-C until it ends, as Snakemake has lost one on a busy machine."""
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=90)
            return
    raise AssertionError("Snakemake goes on after three interrupts")


def test_a_campaign_with_a_lost_node_and_a_preempted_job_ends_with_the_table_of_a_local_one(
    cluster, drivers, tmp_path, monkeypatch
):
    frameworks = ("tensorflow", "pytorch")
    workspace = campaign(tmp_path / "slurm", {"p100": P100, "k80": K80}, frameworks)
    order = {device: seeded(workspace, device) for device in ("p100", "k80")}
    assert order["p100"] != order["k80"], "another order of the frameworks would look the same"
    with asleep(cluster, drivers, "node01"), asleep(cluster, drivers, "node02", order["k80"][1]):
        process = workspace.start_snakemake(*SNAKEMAKE, RECORDS)
        begun = {("p100", order["p100"][0]), *(("k80", framework) for framework in order["k80"])}
        cluster.until(lambda: measuring(workspace) == begun, "the order is another")
        lost, preempted = map(cluster.job_of, ("p100", "k80"))
        assert not workspace.records(), "records are written when all runs of a job are made"
        # By srun within the job, it would end as failed, and not be put back, where the daemon of its node dies.
        steps = cluster.run("squeue", "--noheader", "--steps", "--format=%i").split()
        assert sorted(steps) == sorted([f"{lost}.batch", f"{preempted}.batch"])
        urgent = cluster.run(
            *("sbatch", "--parsable", f"--partition={URGENT}", "--nodelist=node02", "--exclusive", "--wrap=true")
        )
        cluster.lose("node01")
        cluster.run("scontrol", "update", "nodename=node01", "state=down", "reason=lost")
        cluster.until(lambda: urgent in cluster.jobs("completed"), "no place is made for the urgent job")
    cluster.start_node("node01")
    cluster.run("scontrol", "update", "nodename=node01", "state=resume")
    # Slurm puts both jobs back, for two minutes later. For the lost one some of that must pass: a node that is back
    # first ends what it is told was lost with it, and would end the same job that was let go at once.
    cluster.until(lambda: {lost, preempted} <= set(cluster.jobs("pending")), "a job is not put back")
    cluster.run("scontrol", "update", f"jobid={lost}", "starttime=now+30seconds")
    cluster.run("scontrol", "update", f"jobid={preempted}", "starttime=now")

    devices = {"p100": {"model": "P100"}, "k80": {"model": "K80"}}
    local = campaign(tmp_path / "local", devices, frameworks)
    here = StandIn(drivers["node01"].libraries, tmp_path / "cards")
    for card, model in zip(here.cards, MODELS.values(), strict=True):
        card.name = model.encode()
    for name, value in variables(here).items():
        monkeypatch.setenv(name, value)
    result = local.snakemake(RECORDS)
    assert result.returncode == 0, result.stdout + result.stderr

    printed = ended(process)
    assert process.returncode == 0, printed
    assert rows(workspace) == rows(local)
    records = found(workspace)
    for record in records:
        node = {"p100": "node01", "k80": "node02"}[record["device"]]
        assert (record["status"], record["slurm_node"], record["device_name"]) == ("ok", node, MODELS[node])
        assert record["device_uuid"] in CARDS[node]
        told = json.loads(record["slurm_allocation"])
        assert (told["SLURM_GPUS_ON_NODE"], told["SLURM_RESTART_COUNT"]) == ("1", "1")
        assert "stand_in" in record["flags"]
    for device, job in (("p100", lost), ("k80", preempted)):
        of_job = sorted((one for one in records if one["device"] == device), key=lambda one: one["started_unix_s"])
        assert [record["framework"] for record in of_job] == order[device]
        assert {record["slurm_job_id"] for record in of_job} == {job}
        assert len({record["device_uuid"] for record in of_job}) == 1, "the frameworks of a round are on one card"
    # The card behind a name is not chosen once for all, as on one machine.
    assert not (workspace.folder / "results" / "devices.json").exists()


def seeded(workspace: Workspace, device: str) -> list[str]:
    """The frameworks in the order of the first round on a device."""
    written = config.load(config.readable(workspace.folder / "config.yaml"), "config.yaml")
    return [run.cell.framework for run in matrix.campaign(written) if run.cell.device == device]


def measuring(workspace: Workspace) -> set[tuple[str, str]]:
    """Devices and frameworks whose measuring process was started."""
    runs = workspace.folder / "results" / "logs" / "runs"
    logs = [path.relative_to(runs).parts for path in runs.rglob("*.log")]
    return {(device, framework) for device, _, framework, *_ in logs}


def test_a_job_that_did_not_get_what_was_asked_for_fails_its_run_and_says_why(cluster, drivers, tmp_path, monkeypatch):
    modules = tmp_path / "modules" / "init" / "bash"
    modules.parent.mkdir(parents=True)
    modules.write_text('module() { echo "$UNSET"; export LOADEDMODULES="$2"; }\n', encoding="utf-8")
    monkeypatch.setenv("MODULESHOME", str(tmp_path / "modules"))
    node = PROCESSOR | {"modules": ["oneapi/2025.1"]}
    workspace = campaign(tmp_path / "slurm", {"v100": K80 | {"model": "V100"}, "p100": P100, "node": node})
    before = set(cluster.jobs("all"))
    cluster.install_driver("node01", {"LD_LIBRARY_PATH": "/nowhere"})
    try:
        result = workspace.snakemake(*SNAKEMAKE, RECORDS)
    finally:
        cluster.install_driver("node01", variables(drivers["node01"]))
    assert result.returncode == 0, result.stdout + result.stderr
    of = {record["device"]: record for record in found(workspace)}
    assert of["v100"]["status"] == of["p100"]["status"] == "failed"
    assert f"on node node02 has {CARDS['node02'][0]} (Tesla K80), and V100 was requested" in of["v100"]["reason"]
    assert "on node node01 has no GPU, and p100 was requested: libnvidia-ml.so.1 cannot be" in of["p100"]["reason"]
    node = of["node"]
    assert (node["status"], node["slurm_node"], node["device_uuid"]) == ("ok", "node03", None)
    assert node["device_name"] == node["cpu_model"]
    assert json.loads(node["slurm_allocation"])["LOADEDMODULES"] == "oneapi/2025.1"
    assert len(set(cluster.jobs("all")) - before) == 3, "only measuring goes to nodes"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"gpu_model": "t4", "partition": "gpu"}, "Requested node configuration is not available"),
        (P100 | {"mem_mb": 10**6}, "Requested node configuration is not available"),
        (P100 | {"partition": "none"}, "invalid partition specified: none"),
        (P100 | {"runtime": 100}, "Requested time limit is invalid"),
    ],
    ids=["model", "memory", "partition", "time"],
)
def test_requests_that_no_node_meets_are_refused_in_slurms_words(cluster, asked, words):
    with pytest.raises(slurm.PlaceError) as caught:
        slurm.check_request(slurm.requests({"p100": asked}, timeout_s=60)[0], runs=3)
    assert str(caught.value).startswith("devices.p100: sbatch refuses: ")
    assert words in str(caught.value)


def test_a_device_that_slurm_refuses_ends_a_campaign_before_it_begins(cluster, tmp_path):
    workspace = campaign(tmp_path / "slurm", {"p100": P100, "none": P100 | {"partition": "none"}})
    result = workspace.snakemake(*SNAKEMAKE, RECORDS)
    assert result.returncode != 0
    assert "devices.none: sbatch refuses: " in result.stderr
    assert not (workspace.folder / "results" / "data").exists()
    assert not cluster.jobs()


def test_jobs_that_slurm_ends_cost_their_own_runs_which_the_next_invocation_makes(
    cluster, drivers, tmp_path, monkeypatch
):
    # Defaults that a user has for commands of his own: no job is of that partition, and sbatch would wait for each.
    for name, value in {"SQUEUE_PARTITION": "gpu", "SBATCH_WAIT": "1", "SBATCH_HOLD": "1"}.items():
        monkeypatch.setenv(name, value)
    # So little memory that Snakemake itself is over it: without cgroups, Slurm does not count the measuring process,
    # which is in a session of its own.
    unwanted = {"kind": "cpu", "partition": "cpu", "cpus_per_task": 2, "mem_mb_per_cpu": 2000}
    devices = {"p100": P100, "late": PROCESSOR | {"runtime": 6}, "large": PROCESSOR, "unwanted": unwanted}
    limits = {"late": PROCESSOR | {"runtime": 1}, "large": PROCESSOR | {"mem_mb": 60}}
    workspace = campaign(tmp_path / "slurm", devices | limits)
    with asleep(cluster, drivers, "node03"):
        with asleep(cluster, drivers, "node01"):
            first = workspace.start_snakemake(*SNAKEMAKE, RECORDS)
            begun = {(device, "pytorch") for device in ("late", "unwanted")}
            cluster.until(lambda: begun <= measuring(workspace), "not both are measured")
            late, unwanted = map(cluster.job_of, ("late", "unwanted"))
            cluster.run("scancel", unwanted)
            assert cluster.run("squeue", "--noheader", f"--jobs={late}", "--format=%l") == "1:00"
            # For Slurm, that minute has passed.
            cluster.run("scontrol", "update", f"jobid={late}", "endtime=now")
            cluster.until(lambda: late in cluster.jobs("timeout"), "the time limit is none")
        # Where one ends well with others that do not, Snakemake asks again soon, and so ends.
        printed = ended(first)
    assert first.returncode != 0
    assert f"Slurm job {late} ended as TIMEOUT (TimeLimit) on node03: {RULE}_wildcards_late_32_1" in printed
    assert f"Slurm job {unwanted} ended as CANCELLED " in printed
    # Without cgroups, Slurm does not always call it OUT_OF_MEMORY.
    assert re.search(rf"Slurm job \d+ ended as \w+ \(\w+\) on node03: {RULE}_wildcards_large_32_1", printed)
    logs = "".join(
        log.read_text(encoding="utf-8") for log in (workspace.folder / ".snakemake" / "slurm_logs").rglob("*.log")
    )
    assert "exceeded memory limit" in logs
    assert "DUE TO TIME LIMIT" in logs
    assert "sacct" not in printed and "account" not in printed, "this cluster has no accounting"
    (kept,) = workspace.records()
    measured = kept.stat().st_mtime_ns
    assert "1 of 4 runs are there. Missing: " in printed
    shown = {row[0]: row[5] for row in rows(workspace)}
    assert shown == dict.fromkeys(devices, "not_measured") | {"p100": "ok"}

    workspace.configure(devices=devices)
    second = workspace.snakemake(*SNAKEMAKE, RECORDS)
    assert second.returncode == 0, second.stdout + second.stderr
    assert {(row[0], row[5]) for row in rows(workspace)} == {(name, "ok") for name in devices}
    assert kept.stat().st_mtime_ns == measured


def test_a_node_without_the_shared_folder_is_named_and_can_be_left_out(cluster, drivers, tmp_path):
    if subprocess.run([*ANOTHER_VIEW, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a node that sees other files than this process needs root")
    node = {"kind": "cpu", "partition": "gpu"} | SMALL
    workspace = campaign(tmp_path / "slurm", {"node": node})
    with cluster.without(tmp_path, "node01"):
        first = workspace.snakemake(*SNAKEMAKE, RECORDS)
        assert first.returncode != 0
        assert re.search(
            rf"Slurm job \d+ ended as FAILED \(JobLaunchFailure\) on node01: {RULE}_wildcards_node_", first.stderr
        )
        assert not list((workspace.folder / ".snakemake" / "slurm_logs").rglob("*.log"))
        assert not workspace.records()
        workspace.configure(devices={"node": node | {"exclude": "node01"}})
        second = workspace.snakemake(*SNAKEMAKE, RECORDS)
    assert second.returncode == 0, second.stdout + second.stderr
    (record,) = found(workspace)
    assert (record["status"], record["slurm_node"]) == ("ok", "node02")


def test_a_queue_that_takes_no_more_jobs_costs_the_rounds_that_it_did_not_take(cluster, drivers, tmp_path):
    rounds = [entry | {"rounds": 2} for entry in TINY["matrix"]]
    workspace = campaign(tmp_path / "slurm", {"node": PROCESSOR}, matrix=rounds)
    with asleep(cluster, drivers, "node03"):
        first = workspace.start_snakemake(*SNAKEMAKE, "--jobs", "1", RECORDS)
        cluster.until(lambda: measuring(workspace), "nothing is measured")
        cluster.run("scontrol", "update", "partitionname=cpu", "state=inactive")
    try:
        printed = ended(first)
        assert first.returncode != 0
        assert "Batch job submission failed: Required partition not available" in printed
        (record,) = workspace.records()
        measured = record.stat().st_mtime_ns
        # It takes jobs again, and none may start yet.
        cluster.run("scontrol", "update", "partitionname=cpu", "state=down")
        second = workspace.start_snakemake(*SNAKEMAKE, RECORDS)
        cluster.until(lambda: cluster.jobs("pending"), "no job waits")
    finally:
        cluster.run("scontrol", "update", "partitionname=cpu", "state=up")
    printed = ended(second)
    assert second.returncode == 0, printed
    assert record.stat().st_mtime_ns == measured
    assert [(run["round"], run["status"]) for run in found(workspace)] == [(1, "ok"), (2, "ok")]


def cancelled(cluster: Cluster, job: str) -> bool:
    """True once the job has ended because it was cancelled; False where it still runs after half a minute."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if job in cluster.jobs("cancelled"):
            return True
        time.sleep(0.5)
    return False


def test_ctrl_c_cancels_the_jobs_and_the_end_of_the_login_session_leaves_them_to_end(cluster, drivers, tmp_path):
    workspace = campaign(tmp_path / "slurm", {"node": PROCESSOR}, protocol={"timeout_s": 600})
    with asleep(cluster, drivers, "node03"):
        # Snakemake's executor knows no jobs while it asks Slurm for their states, and a Ctrl-C in that second cancels
        # none; the next invocation then says so, as below. Not three times in a row.
        for _ in range(3):
            interrupted = workspace.start_snakemake(*SNAKEMAKE, RECORDS)
            cluster.until(lambda: cluster.jobs("running") and measuring(workspace), "nothing is measured")
            (job,) = cluster.jobs()
            interrupt(interrupted)
            assert interrupted.returncode != 0
            if cancelled(cluster, job):
                break
            cluster.cancel_all()
        else:
            raise AssertionError("no job is cancelled")
        assert not workspace.records()

        first = workspace.start_snakemake(*SNAKEMAKE, RECORDS)
        cluster.until(lambda: cluster.jobs("running"), "nothing is measured")
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
        (job,) = cluster.jobs()
        workspace.snakemake("--unlock")
        second = workspace.snakemake(*SNAKEMAKE, RECORDS)
        assert second.returncode != 0
        assert "1 jobs of an earlier invocation are in the queue and would be measured twice" in second.stderr
        assert f"scancel {job}" in second.stderr
    cluster.until(lambda: not cluster.jobs(), "the job does not end")
    (record,) = workspace.records()
    before = record.stat().st_mtime_ns
    third = workspace.snakemake(*SNAKEMAKE, RECORDS)
    assert third.returncode == 0, third.stdout + third.stderr
    assert record.stat().st_mtime_ns == before
