"""A driver or a GPU that the CUDA of a lock cannot use is refused before the installation."""

import json
import re
from pathlib import Path

import pytest

import standin
from framebench.plan import catalogue, driver, environments
from framebench.plan.installation import pins

pytestmark = pytest.mark.check

FRAMEWORKS = ("keras-tensorflow", "pytorch")
ASK = f"""
import json
from framebench.plan import driver, environments
from framebench.plan.bindings import Gpu
gpus = [Gpu(name, uuid, model, None, None, "") for name, uuid, model in
        zip(("h200", "l4"), {standin.UUIDS}, ("NVIDIA H200", None))]
locks = {{name: environments.lock_of(name, "cuda") for name in {FRAMEWORKS}}}
print(json.dumps([driver.problem(locks, gpus), driver.problem(locks, gpus[1:]),
                  driver.problem({{name: environments.lock_of(name, "cpu") for name in locks}}, gpus)]))
"""


def said(stand_in: standin.StandIn) -> list[str | None]:
    """The problems of both GPUs, of the second alone, and of both with packages for the CPU."""
    return json.loads(stand_in.child(ASK))


def test_a_driver_of_an_earlier_cuda_is_refused_in_one_line_with_both_versions(stand_in):
    stand_in.state.driver_version, stand_in.state.cuda_version = b"550.54.15", 12_040
    told, _, without_cuda = said(stand_in)
    assert told == (
        "envs/pytorch-cuda.txt: its CUDA 13 needs NVIDIA's driver 580.65.06 or newer, and here is 550.54.15, for CUDA "
        "up to 12.4: update the driver, leave pytorch out of frameworks, or name a Python in interpreters.pytorch"
    )
    assert without_cuda is None
    # The frameworks of CUDA 12 come first, and are refused by a driver that is older still.
    stand_in.state.driver_version, stand_in.state.cuda_version = b"470.256.02", 11_040
    told, _, _ = said(stand_in)
    assert told.startswith("envs/tensorflow-cuda.txt: its CUDA 12 needs NVIDIA's driver 525.60.13 or newer")


def test_a_card_before_the_first_that_a_wheel_has_programs_for_is_refused_with_its_name(stand_in):
    stand_in.cards[1].compute_major, stand_in.cards[1].compute_minor = 7, 0
    told = (
        "envs/pytorch-cuda.txt: its CUDA 13 needs a GPU of compute capability 7.5 or newer, and l4 (of unknown name) "
        "has 7.0: leave pytorch out of frameworks, or name a Python in interpreters.pytorch"
    )
    assert said(stand_in) == [told, told, None]


@pytest.mark.parametrize("generation", [13_000, 13_040])
def test_a_driver_of_the_same_generation_will_do(stand_in, generation):
    stand_in.state.cuda_version = generation
    assert said(stand_in) == [None, None, None]


def test_what_the_driver_does_not_tell_is_no_reason_and_neither_are_the_cards_of_another_machine(stand_in):
    stand_in.state.cuda_version = 11_000
    stand_in.fault("nvmlSystemGetCudaDriverVersion", standin.NOT_SUPPORTED)
    stand_in.fault("nvmlDeviceGetCudaComputeCapability", standin.NOT_SUPPORTED)
    assert said(stand_in) == [None, None, None]
    stand_in.fault("nvmlSystemGetCudaDriverVersion", 0)
    stand_in.state.card_count = 0
    assert said(stand_in) == [None, None, None]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (802, "CUDA cannot be asked for its devices: cuInit answers 802 (the GPUs are not ready; start nvidia-fabricm"),
        (999, "CUDA cannot be asked for its devices: cuInit answers 999"),
        (100, "CUDA shows no GPU here, although NVML does"),
    ],
)
def test_a_machine_on_which_nvml_answers_and_cuda_does_not_is_refused_before_anything_is_installed(
    stand_in, code, told
):
    """An H200 without its fabric manager: github.com/huggingface/huggingface_hub/issues/4134, pytorch/pytorch#35710."""
    stand_in.fault("cuInit", code)
    for problem in said(stand_in):
        assert problem and problem.startswith(f"devices: {told}")


LOCKS = sorted(
    {
        environments.lock_of(framework, "cuda")
        for framework in catalogue.frameworks()
        if "cuda" in catalogue.adapter(framework).precisions
    }
)
# Every framework's first step on a GPU loads these; XLA, in JAX and TensorFlow, compiles with the last.
LIBRARIES = {
    *("cublas", "cuda-cupti", "cuda-nvrtc", "cuda-runtime", "cudnn", "cufft", "cusolver", "cusparse"),
    *("nccl", "nvjitlink"),
}
COMPILER = {"jax": {"cuda-nvcc", "nvvm"}, "tensorflow": {"cuda-nvcc"}, "pytorch": set()}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_has_every_library_of_one_generation_of_cuda_that_this_module_knows(lock):
    found = [match for pin in pins(lock) if (match := re.match(r"nvidia-([a-z-]+?)(?:-cu(\d+))?==(\d+)", pin))]
    assert {match[1] for match in found} >= LIBRARIES | COMPILER[lock.stem.removesuffix("-cuda")]
    of_lock = driver.generation(lock)
    assert of_lock in driver.NEEDS
    assert {match[2] for match in found} <= {None, str(of_lock)}
    # Packages whose own version is that of CUDA.
    assert {match[3] for match in found if match[1] in ("cuda-runtime", "cuda-nvrtc", "nvjitlink")} == {str(of_lock)}


def test_jax_gets_the_cupti_that_it_is_built_with():
    """Without a driver that it knows, 13.5 does not tell even its own version, and JAX then says that there is none."""
    assert any(pin.startswith("nvidia-cuda-cupti==13.0.") for pin in pins(Path("envs/jax-cuda.txt")))


def test_the_generation_is_that_of_cudnn(tmp_path):
    lock = Path(tmp_path, "some-cuda.txt")
    lock.write_text("numpy==2.4.6\nnvidia-cudnn-cu14==9.99 \\\n    --hash=sha256:aa\n", encoding="utf-8")
    assert driver.generation(lock) == 14
    lock.write_text("numpy==2.4.6\nnvidia-ml-py==13.1\n", encoding="utf-8")
    assert driver.generation(lock) is None
