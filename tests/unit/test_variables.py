"""The environment variables of a measuring process: those of the user's shell have no say, or are on record."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebench import variables
from framebench.measure import process
from requested import request

pytestmark = pytest.mark.check

PYTHON = "/project/.venvs/pytorch-cpu-0/bin/python"
# Variables that people had set without a thought for a benchmark, each from a report of a change in speed or numbers.
SET = {
    "GLIBC_TUNABLES": "glibc.malloc.trim_threshold=4294967295",  # tensorflow/tensorflow#56350
    "LD_PRELOAD": "/usr/lib/libjemalloc.so.2",  # microsoft/mimalloc#774
    "LD_AUDIT": "/x.so",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # uxlfoundation/oneDNN#1393
    "ONEDNN_MAX_CPU_ISA": "SSE41",  # uxlfoundation/oneDNN#1112
    "DNNL_VERBOSE": "1",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "KMP_AFFINITY": "compact",
    "GOMP_CPU_AFFINITY": "0",
    "MKL_DEBUG_CPU_TYPE": "5",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Prescott",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_CONF": "narenas:1",
    "PYTHONMALLOC": "malloc",
    "PYTHONHASHSEED": "0",
    "PYTHONOPTIMIZE": "2",
    "PYTHONHOME": "/nowhere",
    "PYTHONUSERBASE": "/home/me/.local",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
    "JAX_ENABLE_X64": "1",
    "JAX_PLATFORMS": "cpu",
    "JAX_DISABLE_JIT": "1",
    "NVIDIA_TF32_OVERRIDE": "0",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "TORCHINDUCTOR_MAX_AUTOTUNE": "1",
    "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:32",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "CUDA_LAUNCH_BLOCKING": "1",
    "CUDA_VISIBLE_DEVICES": "0,1",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_GPU_ALLOCATOR": "cuda_malloc_async",
    "KERAS_BACKEND": "jax",  # keras-team/keras#20414
    "KERAS_HOME": "/home/me",
    "XDG_CONFIG_HOME": "/home/me/.config",
    "HOME": "/home/me",
    "LD_LIBRARY_PATH": "/opt/cudnn-8/lib:/opt/conda/lib",  # jax-ml/jax#15268, tensorflow/tensorflow#60750
    "PYTHONPATH": "/opt/ros/lib/python3/dist-packages",  # ros2/ros2#112
    "PATH": "/home/me/bin",
    "LC_ALL": "de_DE",
    "BASH_ENV": "/home/me/.bashrc",
    "LOADEDMODULES": "cuda/11",
}


def given_to_a_process(inherited, **kind):
    return variables.over(variables.made(PYTHON), inherited, **kind)


@pytest.mark.parametrize("name", SET)
def test_a_variable_of_the_users_shell_has_no_say(name):
    assert given_to_a_process({name: SET[name]}) == given_to_a_process({})


@given(st.dictionaries(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1), st.text(max_size=3)))
def test_no_variable_has_a_say_but_those_that_are_named(inherited):
    assert given_to_a_process(inherited) == given_to_a_process(
        {name: value for name, value in inherited.items() if name.startswith(variables.PASSED)}
    )


def test_the_users_own_files_are_not_found_by_home():
    """keras-team/keras#20414: a keras.json decided on channels first, and the framework was not certified."""
    assert variables.made(PYTHON)["HOME"].endswith("/.venvs/home-pytorch-cpu-0")


def test_folders_with_the_driver_stay_on_the_library_path(tmp_path):
    """Colab has the driver's libraries there alone, in /usr/lib64-nvidia."""
    (tmp_path / "libcuda.so.1").touch()
    inherited = {"LD_LIBRARY_PATH": f"/opt/conda/lib:{tmp_path}::"}
    given = given_to_a_process(inherited)
    assert given["LD_LIBRARY_PATH"] == str(tmp_path)
    assert variables.foreign(given, variables.made(PYTHON)) == {"LD_LIBRARY_PATH": str(tmp_path)}


def test_the_libraries_of_a_site_pass_and_are_on_record():
    given = given_to_a_process(SET, site=True)
    assert variables.foreign(given, variables.made(PYTHON)) == {"LD_LIBRARY_PATH": SET["LD_LIBRARY_PATH"]}


@pytest.mark.parametrize("site", [False, True])
def test_nvidias_wheels_come_before_programs_and_libraries_of_the_machine(tmp_path, site):
    """XLA takes ptxas from PATH before its wheels', and PyTorch's cuDNN its parts from LD_LIBRARY_PATH before its own.

    And TensorFlow 2.21 looks for cuSOLVER nowhere else, and computes on no GPU without it.
    """
    wheels = tmp_path / "env" / "lib" / "python3.12" / "site-packages" / "nvidia"
    for folder in ("cusolver/lib", "cuda_nvcc/bin", "cudnn/lib", "cudnn/include"):
        (wheels / folder).mkdir(parents=True)
    driver = tmp_path / "usr" / "lib"
    driver.mkdir(parents=True)
    (driver / "libcuda.so.1").touch()
    python = tmp_path / "env" / "bin" / "python"
    ours = variables.made(str(python))
    assert ours["PATH"] == f"{python.parent}:{wheels}/cuda_nvcc/bin:{variables.SYSTEM_PATH}"
    assert ours["LD_LIBRARY_PATH"] == f"{wheels}/cudnn/lib:{wheels}/cusolver/lib"
    assert variables.over(ours, {}, site=site) == ours
    given = variables.over(ours, {"LD_LIBRARY_PATH": str(driver)}, site=site)
    assert given["LD_LIBRARY_PATH"] == f"{ours['LD_LIBRARY_PATH']}:{driver}"


def test_where_modules_are_loaded_they_are_found_and_loaded_anew():
    found = {"MODULESHOME": "/m", "MODULEPATH": "/p", "LMOD_CMD": "/l", "MODULES_CMD": "/c", "MODULERCFILE": "/r"}
    loaded = {"LOADEDMODULES": "cuda/11", "_LMFILES_": "/x", "LMOD_FAMILY_MPI": "m", "_ModuleTable001_": "t"}
    assert variables.passed(found | loaded, modules=True) == found


# A process as a module leaves it, with what a shell adds.
PRINT = "import json, os; print(json.dumps(dict(os.environ)))"


def test_the_command_replaces_the_environment_of_what_it_starts():
    command = [sys.executable, "-P", "-m", "framebench.variables", "OMP_WAIT_POLICY=PASSIVE"]
    shell = SET | {"PYTHONPATH": "workflow", "PYTHONHOME": ""}
    said = subprocess.run(
        [*command, sys.executable, "-c", PRINT], check=True, env=shell, capture_output=True, text=True, encoding="utf-8"
    )
    seen = json.loads(said.stdout)
    assert seen.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"
    assert seen == variables.made(sys.executable) | {"OMP_WAIT_POLICY": "PASSIVE"}


def test_variables_without_effect_on_the_runs_are_named():
    shell = {"TF_ENABLE_ONEDNN_OPTS": "0", "EDITOR": "vi", "LD_PRELOAD": "x", "CUDA_VISIBLE_DEVICES": "1"}
    assert variables.kept_out(shell | {"LD_LIBRARY_PATH": "/x"}, site=False) == [
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "TF_ENABLE_ONEDNN_OPTS")
    ]
    assert variables.kept_out({"LD_LIBRARY_PATH": "/x"}, site=True) == []


@pytest.fixture
def started(tmp_path):
    """Starts a process in place of a worker, and returns its variables from outside and all its variables."""
    script = tmp_path / "env" / "bin" / "python"
    script.parent.mkdir(parents=True)
    script.write_text(
        f"#!{sys.executable}\nimport json, os, sys\njson.dump(dict(os.environ), open(sys.argv[-2], 'w'))\n"
        "os.write(int(sys.argv[-3]), b'built\\n')\nsys.stdin.readline()\n",
        encoding="utf-8",
    )
    script.chmod(0o755)

    def start(**changes):
        asked = request(python=str(script), **changes)
        worker = process.Process(asked, tmp_path / "request.json", tmp_path / "seen.json", tmp_path / "log")
        assert worker.reached() == "built", (tmp_path / "log").read_text(encoding="utf-8")
        inherited = worker.inherited()
        worker.go()
        worker.close()
        return inherited, json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))

    return start


def test_a_worker_gets_the_variables_of_its_run_and_none_of_the_shells(started, monkeypatch):
    for name, value in SET.items():
        # The script's own interpreter would not start.
        if name != "PYTHONHOME":
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("TMPDIR", "/tmp")
    inherited, seen = started(threads=2)
    assert inherited == {}
    assert seen["OMP_NUM_THREADS"] == "2"
    assert seen["CUDA_VISIBLE_DEVICES"] == "-1"
    assert seen["TMPDIR"] == "/tmp"
    own = {"OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HOME", "PATH", "PYTHONPATH"}
    assert set(SET) & set(seen) == own
    assert Path(seen["HOME"]).is_dir()


def test_modules_add_their_libraries_and_decide_on_no_threads(started, monkeypatch):
    """hpcugent/vsc_user_docs#690: modules set more than where they are."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/mine")
    modules = 'export LD_LIBRARY_PATH="/site/lib:$LD_LIBRARY_PATH" OMP_NUM_THREADS=64 LD_PRELOAD= EBROOTCUDA=/site;'
    inherited, seen = started(modules=modules, threads=2)
    assert inherited == {"EBROOTCUDA": "/site", "LD_LIBRARY_PATH": "/site/lib:/mine", "LD_PRELOAD": ""}
    assert seen["OMP_NUM_THREADS"] == "2"
