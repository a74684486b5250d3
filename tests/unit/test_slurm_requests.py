"""Requests of a device in config.yaml to a Slurm cluster, and refusals before anything is submitted."""

import asyncio
import contextlib
import json
import logging
import os
import platform
import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin
import yaml
from snakemake.iocontainers import ResourceList
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

from framebench.plan import catalogue, config, internals, matrix, slurm
from framebench.plan.knobs import Binding

pytestmark = pytest.mark.check

P100 = {"gpu_model": "p100", "partition": "gpu"}


def written(devices: dict, **protocol) -> dict:
    content = config.readable(catalogue.ROOT / "config.yaml")
    entries = [entry for entry in content["matrix"] if entry["tracks"] == ["default"]]
    return content | {"devices": devices, "matrix": entries, "protocol": content["protocol"] | protocol}


def loaded(devices: dict, **protocol) -> config.Config:
    return config.load(written(devices, **protocol), "config.yaml")


def refusal(devices: dict, **protocol) -> str:
    with pytest.raises(config.ConfigError) as caught:
        loaded(devices, **protocol)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("config.yaml: ")


def request(name: str, **binding) -> slurm.Request:
    (found,) = loaded({name: binding}).requests
    return found


def test_a_model_is_asked_for_by_its_name_in_slurm():
    asked = request("p100", **P100)
    assert (asked.kind, asked.model) == ("cuda", "p100")
    assert asked.resources == {
        **{"slurm_partition": "gpu", "gpu_model": "p100", "gpu": 1},
        **{"cpus_per_task": 4, "mem_mb": 16000, "runtime": 11},
    }


def test_a_feature_or_a_partition_asks_for_any_gpu_and_the_job_checks_its_model():
    asked = request("volta", partition="gpu", constraint="v100&nvlink", model="Tesla V100")
    assert (asked.model, asked.resources["constraint"], asked.resources["gpu"]) == ("Tesla V100", "v100&nvlink", 1)
    assert request("a100", partition="a100").model == "a100"


def test_a_model_with_a_hyphen_is_asked_for_past_the_executor_which_refuses_one():
    """So Slurm names cards by itself (AutoDetect=nvml of gres.conf), and a site need have no feature for them."""
    asked = request("a100", gpu_model="nvidia_a100-sxm4-80gb", exclude="n1")
    assert asked.model == "nvidia_a100-sxm4-80gb"
    assert {"--gpus-per-node=nvidia_a100-sxm4-80gb:1", "--exclude=n1"} <= set(submitted(asked))
    assert not [option for option in submitted(asked) if option.startswith(("--gpus=", "--gres"))]
    assert {"gpu", "gpu_model"}.isdisjoint(asked.resources)


def test_a_generic_resource_is_asked_for_instead_of_a_number_of_gpus():
    asked = request("p100", gres="gpu:p100:1")
    assert (asked.resources["gres"], "gpu" in asked.resources) == ("gpu:p100:1", False)


def test_the_processor_of_a_node_is_asked_for_without_a_gpu():
    for asked in (request("epyc", kind="cpu", cpus_per_task=16), request("cpu", partition="cpu", cpus_per_task=16)):
        assert (asked.kind, asked.model, asked.cpus) == ("cpu", "", 16)
        assert not {"gpu", "gpu_model", "gres"} & set(asked.resources)


def test_nodes_and_options_without_a_key_are_quoted_for_a_shell():
    asked = request("p100", **P100, exclude="node[01-04],node07", exclusive=True, slurm_extra=["--reservation=tests"])
    assert asked.resources["slurm_extra"] == "'--exclude=node[01-04],node07' --exclusive --reservation=tests"


def test_a_job_is_given_as_long_as_its_runs_may_take_unless_the_device_says_otherwise():
    assert loaded({"p100": P100}, timeout_s=90).requests[0].resource("runtime", 3) == 9
    assert request("p100", **P100, runtime=5).resource("runtime", 3) == 15
    assert request("p100", **P100).resource("mem_mb", 3) == 16000


def submitted(asked: slurm.Request) -> list[str]:
    """The options of the executor's own call of sbatch for a job with these requests."""
    resources = ResourceList(fromdict={name: asked.resource(name, 1) for name in asked.resources} | {"mpi": ""})
    job = SimpleNamespace(resources=resources, threads=1)
    names = ("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir")
    return shlex.split(get_submit_command(job, dict.fromkeys(names, "")) + set_gres_string(job))


PLACE = {"partition": "gpu"}
FORBIDDEN = {
    "mem_mb": ("--mem", "--mem-per-cpu"),
    "cpus_per_task": ("--cpus-per-task",),
    "runtime": ("-t", "--time"),
    "gres": ("--gpus", "--gres"),
}


@pytest.mark.parametrize("key", FORBIDDEN)
def test_a_request_that_a_site_forbids_is_not_sent(monkeypatch, tmp_path, key):
    """Sites refuse --mem, a number of CPUs or a time: dask/dask-jobqueue#238, #632, Snakemake-Profiles/slurm#30."""
    called = tmp_path / "called"
    program = tmp_path / "sbatch"
    program.write_text(f'#!/bin/sh\necho "$@" > {called}\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    usual, without = (loaded({"p100": binding}, threads=2).requests[0] for binding in (PLACE, PLACE | {key: None}))
    for options in (submitted, lambda one: first_asked(one, called)):
        names = [{option.partition("=")[0] for option in options(one)} for one in (usual, without)]
        assert names[0] & set(FORBIDDEN[key]) and not names[1] & set(FORBIDDEN[key])


def first_asked(asked: slurm.Request, called: Path) -> list[str]:
    """The options of the call that asks Slurm whether it could run such a job."""
    slurm.check_request(asked, runs=1)
    return called.read_text(encoding="utf-8").split()


@pytest.mark.parametrize(("key", "unit"), [("runtime", "minutes"), ("mem_mb", "MB"), ("mem_mb_per_cpu", "MB")])
def test_a_number_of_slurms_own_form_is_refused_with_its_unit(key, unit):
    """With `1-00:00:00` or `16G` refused, the next try was 24, for hours or gigabytes."""
    assert f"; a whole number from 1 to 1000000000, in {unit}" in refusal({"p100": PLACE | {key: "1-00:00:00"}})


def test_memory_may_be_asked_for_by_the_cpu():
    """bcbio/bcbio-nextgen#2675: sites where --mem is refused and --mem-per-cpu is not."""
    options = submitted(request("p100", mem_mb_per_cpu=4000))
    assert options[options.index("--mem-per-cpu") + 1] == "4000" and "--mem" not in options


def test_login_and_compute_nodes_plan_the_same_whatever_they_have():
    of_gpus = loaded({"p100": P100, "k80": {"gpu_model": "k80", "cpus_per_task": 2}})
    assert (of_gpus.packages, of_gpus.protocol.threads) == ("cuda", 2)
    of_cpus = loaded({"epyc": {"kind": "cpu", "cpus_per_task": 300}})
    assert (of_cpus.packages, of_cpus.protocol.threads) == ("cpu", 300)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ({"p100": P100, "cpu": {}}, "devices.cpu: is on this machine, and 'p100' is requested from a cluster"),
        ({"p100": P100, "big": {"model": "H200"}}, "devices.big: is on this machine, and 'p100' is requested"),
        ({"p100": P100 | {"uuid": "GPU-1"}}, "devices.p100: uuid names one GPU of this machine, and nothing is left"),
        ({"p100": P100 | {"gres": "gpu:p100:1"}}, "devices.p100: gpu_model and gres both ask for a GPU; give one"),
        ({"p100": {"gres": "gpu:p100:2"}}, "devices.p100.gres: 'gpu:p100:2' is not allowed; one GPU, as gpu:1 or"),
        ({"p100": {"gpu_model": "tesla p100"}}, "devices.p100.gpu_model: 'tesla p100' is not allowed; letters, digits"),
        # Numbers as names: skypilot-org/skypilot#9168, snakemake/snakemake-executor-plugin-slurm#448.
        (
            {"p100": {"partition": 3090}},
            "devices.p100.partition: 3090 is a number, which is not allowed without quotes; a name of letters, digits",
        ),
        (
            {"p100": P100 | {"runtime": "2h"}},
            "devices.p100.runtime: '2h' is text, which is not allowed; a whole number",
        ),
        ({"epyc": P100 | {"kind": "cpu"}}, "devices.epyc.gpu_model: is a GPU's, and 'epyc' is a processor"),
        ({"cpu": P100}, "devices.cpu.gpu_model: is a GPU's, and 'cpu' is a processor; give the GPU another name"),
        ({"cpu": {"kind": "gpu"}}, "devices.cpu.kind: a device of the name 'cpu' is a processor"),
        ({"p100": P100 | {"nodelist": "node[01-02]"}}, "devices.p100.nodelist: 'node[01-02]' is not allowed; the name"),
        ({"p100": P100 | {"slurm_extra": ["--mem=4G"]}}, "devices.p100.slurm_extra[0]: '--mem=4G' is not allowed; an"),
        ({"p100": P100 | {"slurm_extra": ["--x=$(id)"]}}, "devices.p100.slurm_extra[0]: '--x=$(id)' is not allowed"),
        (
            {"p100": P100 | {"partition": "gpu;id"}},
            "devices.p100.partition: 'gpu;id' is not allowed; a name of letters",
        ),
        ({"p100": P100 | {"cpus": 2}}, "devices.p100.cpus: unknown key"),
        ({"p100": P100 | {"mem_mb": 0}}, "devices.p100.mem_mb: 0 is not allowed; a whole number from 1 to"),
        (
            {"p100": P100 | {"mem_mb": 1, "mem_mb_per_cpu": 1}},
            "devices.p100: mem_mb and mem_mb_per_cpu both ask for memory; give one",
        ),
        (
            {"p100": P100 | {"cpus_per_task": None}},
            "protocol.threads: auto is as many as cpus_per_task, which is null in devices.p100; give a number",
        ),
    ],
)
def test_contradictions_are_refused(devices, message):
    assert refusal(devices).startswith(message)


@pytest.mark.parametrize(
    ("binding", "protocol", "message"),
    [
        ({"cpus_per_task": 2}, {"threads": 4}, "protocol.threads: 4 is more than the 2 cpus_per_task of devices.p100"),
        ({}, {"cores": [0]}, "protocol.cores: Slurm chooses the cores of 'p100' of devices; allowed: any"),
        (
            {"runtime": 1},
            {"blocks": {"count": 7, "min_s": 20.0, "min_steps": 4, "lead_in_s": 0.05}},
            "devices.p100.runtime: 1 minutes are less than the 140.8 s that a run takes",
        ),
    ],
)
def test_a_protocol_that_the_job_could_not_keep_is_refused(binding, protocol, message):
    assert refusal({"p100": P100 | binding}, **protocol).startswith(message)


def test_tracks_and_packages_that_a_gpu_cannot_have_are_refused_on_a_cluster_too():
    content = written({"p100": P100})
    with pytest.raises(config.ConfigError, match="packages: 'cpu' cannot use the GPU 'p100' of devices"):
        config.load(content | {"packages": "cpu"}, "config.yaml")


def test_a_configuration_survives_the_way_to_a_command():
    content = json.loads(json.dumps(written({"p100": P100 | {"modules": ["cuda/12.4"], "exclusive": True}})))
    assert config.load(content, "--config").requests == loaded({"p100": content["devices"]["p100"]}).requests


def test_the_frameworks_of_a_block_and_round_are_one_job():
    configured = loaded({"p100": P100, "k80": {"gpu_model": "k80"}})
    jobs = matrix.jobs(configured)
    made = [run for job in jobs for run in job]
    assert len(made) == len(set(made)) == len(jobs) * len(configured.frameworks)
    assert set(made) == set(matrix.campaign(configured))
    for job in jobs:
        assert {run.cell.framework for run in job} == set(configured.frameworks)
        assert len({(run.cell.block, run.round) for run in job}) == 1


def test_nothing_is_tried_again_by_itself_and_no_jobs_are_grouped():
    profile = yaml.safe_load((catalogue.ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    assert profile["retries"] == 0
    assert "group-components" not in profile


def squeue(monkeypatch, folder, script: str) -> None:
    program = folder / "squeue"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def place_refusal(requests, on_cluster, folder) -> str:
    with pytest.raises(slurm.PlaceError) as caught:
        slurm.check_place(requests, on_cluster, folder)
    return str(caught.value)


def test_devices_and_profile_must_fit(tmp_path, monkeypatch):
    squeue(monkeypatch, tmp_path, "exit 0")
    requests = loaded({"p100": P100}).requests
    slurm.check_place(requests, True, tmp_path)
    slurm.check_place((), False, tmp_path)
    assert place_refusal(requests, False, tmp_path).startswith("devices: 'p100' is requested from a Slurm cluster")
    assert place_refusal((), True, tmp_path).startswith("devices: none is requested from a Slurm cluster")


def test_jobs_that_an_earlier_invocation_left_in_this_folder_are_named(tmp_path, monkeypatch):
    squeue(monkeypatch, tmp_path, f"echo '11|/elsewhere'; echo '12|{tmp_path}'; echo '13|{tmp_path}'")
    told = place_refusal(loaded({"p100": P100}).requests, True, tmp_path)
    assert told.startswith("2 jobs of an earlier invocation") and told.endswith("scancel 12 13")


@pytest.mark.parametrize(
    ("script", "message"),
    [("echo no controller >&2; exit 1", "squeue refuses: no controller"), (None, "squeue is not here")],
)
def test_a_cluster_that_cannot_be_asked_is_told(tmp_path, monkeypatch, script, message):
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        squeue(monkeypatch, tmp_path, script)
    assert place_refusal(loaded({"p100": P100}).requests, True, tmp_path).startswith(message)


def test_jobs_of_a_user_without_a_name_and_with_a_heading_of_another_cluster_are_found(tmp_path, monkeypatch):
    """A user id without a name, as in containers and with directory services that are away: pytorch/pytorch#140765."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    asked = 'case "$*" in *--user=4000000*) ;; *) exit 1 ;; esac'
    squeue(monkeypatch, tmp_path, f"{asked}; printf 'CLUSTER: other\\n12|{tmp_path}\\n13|/elsewhere-\\351\\n'")
    told = place_refusal(loaded({"p100": P100}).requests, True, tmp_path)
    assert told.startswith("1 jobs of an earlier invocation") and told.endswith("scancel 12")


def test_a_shell_of_salloc_that_is_not_on_the_node_is_told_what_is_measured():
    """https://github.com/trilinos/Trilinos/pull/2941: salloc stays on the login node at many sites."""
    told = slurm.beside_job({"SLURM_JOB_ID": "17"})
    assert told and f"measuring {platform.node()}, which is no node of Slurm job 17" in told
    assert slurm.beside_job({"SLURM_JOB_ID": "17", "SLURMD_NODENAME": "node02"}) is slurm.beside_job({}) is None


def test_slurms_commands_get_the_users_cluster_and_account_and_no_other_variable_of_theirs():
    """Defaults that a user exports change the list of jobs, or the jobs: SQUEUE_STATES=pending hides running ones."""
    users = ["SLURM_CONF", "SLURM_JWT", "SLURM_CLUSTERS", "SBATCH_ACCOUNT", "SBATCH_PARTITION", "SBATCH_RESERVATION"]
    others = ["SQUEUE_STATES", "SQUEUE_FORMAT2", "SBATCH_WAIT", "SBATCH_EXPORT", "SBATCH_ARRAY_INX", "SLURM_JOB_ID"]
    environment = dict.fromkeys([*users, *others, "SCANCEL_INTERACTIVE", "PATH", "FRAMEBENCH_SLURM_JOB_ID"], "x")
    assert slurm.disturbing(environment) == [*others, "SCANCEL_INTERACTIVE"]


@pytest.fixture
def executor(monkeypatch):
    """The executor of an invocation on a cluster that has no accounting; its class is as before after the test."""
    of_class, of_module = ("get_account_arg", "get_partition_arg", "check_active_jobs"), ("query_job_status",)
    for changed, names in ((plugin.Executor, of_class), (plugin, (*of_module, "is_query_tool_available"))):
        for name in names:
            monkeypatch.setattr(changed, name, getattr(changed, name))
    workflow = SimpleNamespace(non_local_exec=True)
    internals.submit_as_asked(workflow)
    internals.lose_no_job(workflow)
    made = object.__new__(plugin.Executor)
    made.logger, made._partitions, made.run_uuid = logging.getLogger(), None, "uuid"
    made.workflow = SimpleNamespace(
        executor_settings=SimpleNamespace(
            **{"status_command": "squeue", "status_attempts": 2, "keep_successful_logs": True},
            init_seconds_before_status_checks=40,
        )
    )
    made.status_rate_limiter, made.next_seconds_between_status_checks = contextlib.nullcontext(), 40
    made._status_query_calls = made._status_query_failures = made._status_query_total_seconds = 0
    made._status_query_min_seconds, made._status_query_max_seconds, made._status_query_cycle_rows = None, 0.0, []
    return made


def test_accounts_and_partitions_are_left_to_sbatch_without_accounting(monkeypatch, executor):
    """Without accounting, or without sacct, every job said so; and the default partition was sent in place of the
    user's own SBATCH_PARTITION."""
    monkeypatch.setenv("PATH", "/nowhere")
    none, both = (SimpleNamespace(resources=one) for one in ({}, {"slurm_account": "a b", "slurm_partition": "gpu"}))
    assert next(plugin.Executor.get_account_arg(executor, none)) == ""
    assert next(plugin.Executor.get_account_arg(executor, both)) == " -A 'a b'"
    assert plugin.Executor.get_partition_arg(executor, none) == ""


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        # The controller is restarted: the executor dropped every job from its list, and waited for ever.
        ("exit 1", set()),
        ("echo '12|RUNNING'; echo '13|PENDING'", set()),
        # Ended jobs leave the queue after MinJobAge, and sacct knows nothing: the executor waited for ever.
        ("echo '12|RUNNING'", {"13"}),
        ("exit 0", {"12", "13"}),
        ("echo '14_[2-3]|PENDING'", {"12", "13"}),
    ],
)
def test_every_job_goes_on_or_has_ended(tmp_path, monkeypatch, executor, script, ended):
    for name, said in {"sacct": "exit 1", "scontrol": "echo 'MinJobAge = 2 sec'"}.items():
        squeue(monkeypatch, tmp_path, said)
        (tmp_path / "squeue").rename(tmp_path / name)
    squeue(monkeypatch, tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    told = set()
    monkeypatch.setattr(executor, "report_job_success", lambda job: told.add(job.external_jobid))
    jobs = [SimpleNamespace(external_jobid=one, aux={}) for one in ("12", "13", "14_2")]

    async def asked():
        return {job.external_jobid async for job in executor.check_active_jobs(jobs)}

    assert (asyncio.run(asked()), told) == ({"12", "13", "14_2"} - ended, ended)


def test_a_job_that_failed_is_told_by_what_slurm_says_of_it(tmp_path, monkeypatch):
    said = "SLURM-job '12' failed, reason unavailable"
    squeue(monkeypatch, tmp_path, "echo 'TIMEOUT (TimeLimit)|node01|rule_p100-1'")
    assert slurm.failure("p100-1", "12", said) == "Slurm job 12 ended as TIMEOUT (TimeLimit) on node01: rule_p100-1"
    squeue(monkeypatch, tmp_path, "echo 'CLUSTER: other'; echo 'CANCELLED (None)||rule_p100-1'")
    assert slurm.failure("p100-1", "12", said) == "Slurm job 12 ended as CANCELLED (None): rule_p100-1"
    squeue(monkeypatch, tmp_path, "echo")
    assert slurm.failure("p100-1", "12", said) == "Slurm job 12 failed, and squeue knows it no more: p100-1"
    squeue(monkeypatch, tmp_path, "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    told = slurm.failure("p100-1", "12", said)
    assert told.endswith("failed, and squeue refuses: slurm_load_jobs error: Invalid job id specified: p100-1")


def test_a_job_that_sbatch_refused_is_told_in_the_words_of_sbatch():
    said = "SLURM sbatch failed. The error message was 'sbatch: error: QOSMaxSubmit\nsbatch: error: failed'.\n"
    told = slurm.failure("p100-1", None, f"{said}    sbatch call:\n        sbatch --parsable")
    assert told == f"p100-1: {' '.join(said.split())}"


def test_slurm_is_asked_whether_it_could_ever_run_such_a_job(tmp_path, monkeypatch):
    program = tmp_path / "sbatch"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    slurm.check_request(request("p100", **P100, constraint="ib", exclude="node[1-2]", runtime=5), runs=3)
    assert (tmp_path / "asked").read_text(encoding="utf-8").split() == [
        *("--test-only", "--partition=gpu", "--constraint=ib", "--cpus-per-task=4", "--mem=16000", "--time=15"),
        *("--gpus=p100:1", "--exclude=node[1-2]", "--wrap=true"),
    ]
    program.write_text("#!/bin/sh\necho 'invalid partition specified: gpu' >&2; exit 1\n", encoding="utf-8")
    with pytest.raises(slurm.PlaceError, match=r"^devices.p100: sbatch refuses: invalid partition specified: gpu$"):
        slurm.check_request(request("p100", **P100), runs=3)


def test_requests_in_the_documentation_are_valid():
    text = (catalogue.ROOT / "docs/slurm.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 3
    for snippet in snippets:
        devices = yaml.safe_load(snippet)["devices"]
        assert {one.name: one.kind for one in loaded(devices).requests} == dict.fromkeys(devices, "cuda")
    assert set(re.findall(r"^\| `(\w+)", text, re.MULTILINE)) <= set(Binding.__annotations__)


def test_modules_are_loaded_by_a_bash_that_minds_unset_variables(tmp_path):
    modules = tmp_path / "init" / "bash"
    modules.parent.mkdir()
    modules.write_text('module() { echo "$UNSET$*"; }\n', encoding="utf-8")
    script = f"set -euo pipefail; {slurm.load_modules(['cuda/12.4', 'nccl'])} echo then"
    result = subprocess.run(
        ["bash", "-c", script],
        env={"MODULESHOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    assert result.stdout.splitlines() == ["load cuda/12.4 nccl", "then"]
    without = subprocess.run(
        ["bash", "-c", script], env={}, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert without.returncode != 0
    assert "MODULESHOME: is not set, so that there are no modules to load" in without.stderr
    assert slurm.load_modules(()) == ""
