"""The environment variables of every process that runs a framework: made here, and not inherited.

A user's shell, a container's image and a site's profile set variables that change the speed or the numbers of a library
(allocator, BLAS, OpenMP, oneDNN, XLA, cuDNN), and its configuration files are found by HOME. A list of those to remove
would never be complete, so this is a list of those that pass.

As a command it is `env -i` with these variables: `python -m framebench.variables [--site] [NAME=VALUE …] PYTHON …`.
"""

import itertools
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIBRARY_PATH = "LD_LIBRARY_PATH"
DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")  # some images have them in a folder of LD_LIBRARY_PATH alone (Colab's)
# Passed without a word, as they change no number: the starts of names.
PASSED = ("FRAMEBENCH_", "TMPDIR", "TZ")
# The same where modules are loaded: how to find them. Modules that are loaded already are loaded anew.
MODULES = ("MODULE", "LMOD_")
LOADED = ("LOADEDMODULES", "_LMFILES_", "LMOD_FAMILY_")
# Not worth a word in a process that a shell has started.
BOOKKEEPING = (
    *PASSED,
    *MODULES,
    *LOADED,
    "BASH_FUNC_",
    "OLDPWD",
    "PWD",
    "SHLVL",
    "_=",
    "_ModuleTable",
    "__LMOD",
    "__MOD",
)
# Passed to a site's interpreter, and put on record: where its libraries are.
OF_SITE = (LIBRARY_PATH, "CUDA_HOME", "CUDA_PATH")
# Starts of names of variables that change the numbers of a library, or which library is loaded.
WITH_EFFECT = (
    *("ATEN_", "BLIS_", "CUBLAS", "CUDA_", "CUDNN_", "DNNL_", "GLIBC_", "GOMP_", "GOTO_", "JAX_", "JEMALLOC", "KERAS_"),
    *("KMP_", "LD_", "LIBXSMM_", "MALLOC_", "MKL_", "NCCL_", "NPY_", "NUMEXPR_", "NVIDIA_TF32", "OMP_", "ONEDNN_"),
    *("OPENBLAS_", "PJRT_", "PYTHONMALLOC", "PYTORCH_", "TCMALLOC_", "TORCH", "TRITON_", "VECLIB_", "XLA_"),
    # Terraform's begin with TF_ too.
    *("TF_CU", "TF_DETERMINISTIC", "TF_DISABLE", "TF_ENABLE", "TF_FORCE", "TF_GPU", "TF_NUM", "TF_USE", "TF_XLA"),
)


def made(python: str) -> dict[str, str]:
    """The variables that every process of this interpreter has, whatever the caller's are.

    HOME is a folder for this environment alone: no configuration file of the user's is found there, and libraries still
    have a place for what they compile. NVIDIA's wheels come before what the machine has of CUDA: XLA takes `ptxas` from
    PATH first, and cuDNN its parts from the library path; TensorFlow 2.21 finds cuSOLVER on no other path.
    """
    prefix = Path(python).absolute().parents[1]
    home = ROOT / ".venvs" / f"home-{prefix.name}"
    programs, libraries = (
        sorted(map(str, prefix.glob(f"lib/python*/site-packages/nvidia/*/{kind}"))) for kind in ("bin", "lib")
    )
    return {
        "PATH": ":".join([str(Path(python).absolute().parent), *programs, SYSTEM_PATH]),
        **({LIBRARY_PATH: ":".join(libraries)} if libraries else {}),
        "HOME": str(home),
        "LOGNAME": "framebench",  # a container's user may have no name
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT / "workflow"),
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",  # a log has the last words of a process that is killed
        "TORCHINDUCTOR_CACHE_DIR": str(home / "torchinductor"),  # by default in /tmp, under the user's name
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def over(
    ours: Mapping[str, str], inherited: Mapping[str, str], *, site: bool = False, modules: bool = False
) -> dict[str, str]:
    """All variables of a process: those of `made`, and over them those of the caller's that pass.

    `site`: it is a site's interpreter; `modules`: its environment modules are loaded first. Library paths are joined.
    """
    theirs = passed(inherited, site=site, modules=modules)
    paths = [path for each in (ours, theirs) if (path := each.get(LIBRARY_PATH))]
    return {**ours, **theirs, **({LIBRARY_PATH: ":".join(paths)} if paths else {})}


def passed(inherited: Mapping[str, str], *, site: bool = False, modules: bool = False) -> dict[str, str]:
    """The variables of the caller that pass to a process; `site` and `modules` as in `over`."""
    starts, names = (*PASSED, *MODULES * modules), OF_SITE * (site or modules)
    found = {
        name: value
        for name, value in inherited.items()
        if name in names or (name.startswith(starts) and not name.startswith(LOADED))
    }
    if LIBRARY_PATH not in found and (of_driver := _of_driver(inherited.get(LIBRARY_PATH, ""))):
        found[LIBRARY_PATH] = of_driver
    return found


def _of_driver(paths: str) -> str:
    """The folders of a library path that have the driver's libraries."""
    folders = [folder for folder in paths.split(":") if folder]
    return ":".join(folder for folder in folders if any(Path(folder, name).exists() for name in DRIVER))


def foreign(seen: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process that are not `ours` and may have changed its numbers."""
    return {
        name: value
        for name, value in sorted(seen.items())
        if value != ours.get(name) and not f"{name}=".startswith(BOOKKEEPING)
    }


def kept_out(inherited: Mapping[str, str], *, site: bool) -> list[str]:
    """Names of the caller's variables that would change a library's numbers, and do not reach it."""
    reach = passed(inherited, site=site)
    chosen = "CUDA_VISIBLE_DEVICES"  # by the devices of a campaign
    return sorted(name for name in inherited if name.startswith(WITH_EFFECT) and name not in {*reach, chosen})


def prepare(home: str) -> None:
    """Make the folder HOME; where that is not possible, libraries go without."""
    with suppress(OSError):
        Path(home).mkdir(parents=True, exist_ok=True)


def main(arguments: list[str]) -> None:
    """Replace this process by the given command, with these variables and the given ones."""
    site = arguments[0] == "--site"
    words = arguments[site:]
    own = dict(word.split("=", 1) for word in itertools.takewhile(re.compile("[A-Z_]+=").match, words))
    command = words[len(own) :]
    variables = over(made(command[0]), os.environ, site=site) | own
    prepare(variables["HOME"])
    os.execve(command[0], command, variables)


if __name__ == "__main__":
    main(sys.argv[1:])
