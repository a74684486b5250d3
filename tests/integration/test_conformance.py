"""Every adapter keeps the contract on every workload: one suite, over all that are found."""

import json
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from conftest import DEFAULT, PROJECT
from framebench import workloads
from framebench.plan import catalogue, environments
from framebench.workloads.layers import BatchNorm, Dropout

pytestmark = [pytest.mark.all, pytest.mark.usefixtures("every_environment")]
PROBE = Path(__file__).with_name("conformance_probe.py")
FRAMEWORK = "framework"  # the probe's part that depends on no workload
EPOCH, STEPS = 3, 10  # that the probe trains
PROBED = 4  # samples in its batches
# JAX compiles some 150 functions here, and this takes half as long where they need not be fast.
XLA_FLAGS = "--xla_backend_optimization_level=0"


@pytest.fixture(scope="module")
def probe(tmp_path_factory) -> Callable[[str, str], dict]:
    """The probe's observations of a framework in one of its parts; each part is probed once."""

    @cache
    def probed(framework: str, part: str) -> dict:
        prefix = PROJECT / environments.prefix(environments.lock_of(framework, "cpu"))
        output = tmp_path_factory.mktemp("probed") / "seen.json"
        result = subprocess.run(
            [prefix / "bin/python", "-P", PROBE, framework, output, part],
            env={
                "PATH": os.environ["PATH"],  # where torch.compile finds g++
                "PYTHONPATH": str(PROJECT / "workflow"),
                "CUDA_VISIBLE_DEVICES": "-1",
                "OMP_NUM_THREADS": "1",
                "XLA_FLAGS": XLA_FLAGS,
            },
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
        )
        assert result.returncode == 0, result.stderr
        return json.loads(output.read_text(encoding="utf-8"))[part]

    return probed


def file_of(framework: str, name: str) -> Path:
    return catalogue.folder(framework) / name


def expected(framework: str) -> dict:
    """The constants of a framework's samples.py; empty where it has none."""
    path = file_of(framework, "samples.py")
    return catalogue.declared(path) if (PROJECT / path).is_file() else {}


# Frameworks with an inspector; a test below reports the missing files of each other one.
FRAMEWORKS = [name for name in catalogue.frameworks() if (PROJECT / file_of(name, "inspector.py")).is_file()]


def probes(framework: str, part: str, value: object):
    """A parameter whose tests all go to the process that probes it, each part on its own."""
    return pytest.param(value, id=f"{framework}-{part}", marks=pytest.mark.xdist_group(f"{framework} {part}"))


def cells(*trains: bool) -> list:
    """Every framework with every workload that it takes part in and that trains, or does not.

    The default frameworks have all workloads, and each other one the article's.
    """
    return [
        probes(framework, workload, (framework, workload))
        for framework in FRAMEWORKS
        for workload in catalogue.workloads()
        if catalogue.takes_part(framework, workload)
        and workloads.load(workload).trains in trains
        and (workload == "article-cnn" or framework in DEFAULT)
    ]


@pytest.fixture(params=[probes(framework, FRAMEWORK, framework) for framework in FRAMEWORKS])
def of_framework(request, probe):
    return request.param, probe(request.param, FRAMEWORK)


@pytest.fixture(params=cells(True, False))
def conformance(request, probe):
    return request.param, probe(*request.param)


@pytest.fixture(params=cells(True))
def training(request, probe):
    return request.param, probe(*request.param)


@pytest.fixture(params=cells(False))
def inference(request, probe):
    return request.param, probe(*request.param)


@pytest.mark.parametrize("framework", catalogue.frameworks())
@pytest.mark.parametrize(
    ("name", "so"),
    [
        ("inspector.py", "it is not certified, and nothing of this suite is tested in it"),
        ("faults.py", "the faults of every framework alone are planted in it"),
        ("samples.py", "its words for memory that ran out are not tested"),
    ],
)
def test_every_file_of_a_framework_is_there(framework, name, so):
    path = file_of(framework, name)
    if not (PROJECT / path).is_file():
        pytest.skip(f"{path} is missing: {so}")


def test_the_lock_installs_what_the_adapter_says(of_framework):
    framework, saw = of_framework
    version = saw["versions"]["framework_version"].partition("+")[0]
    pins = environments.pins(environments.lock_of(framework, "cpu"))
    assert any(f"=={version}" in pin for pin in pins)


def with_profiler(saw: dict) -> None:
    if reason := saw["profiler"]["measured"].get("profile_reason"):
        assert reason.startswith("ValueError: ")
        pytest.skip(reason)


def test_all_that_a_step_computes_is_done_when_the_device_was_waited_for(of_framework):
    _, saw = of_framework
    with_profiler(saw)
    operators = saw["profiler"]["operators"]
    assert operators["3"] >= 3 * 10
    assert operators["6"] == pytest.approx(2 * operators["3"], rel=0.1)


def test_the_profiler_tells_how_long_of_a_step_the_device_computes(of_framework):
    _, saw = of_framework
    with_profiler(saw)
    found = saw["profiler"]["measured"]
    assert found["profiled_steps"] == 3
    assert 0 < found["device_busy_ms"] <= found["profiled_step_ms"]


def test_a_gpu_trace_gives_its_kernels_and_copies(of_framework):
    framework, saw = of_framework
    if not saw.get("gpu_trace"):
        pytest.skip(f"{file_of(framework, 'samples.py')} has no trace of a GPU")
    assert sorted(saw["gpu_trace"]) == [[3000, 6000], [5000, 9000]]


def test_jax_waits_for_every_weight_and_compiles_its_step_once(of_framework):
    _, saw = of_framework
    if "jax" in saw:
        assert saw["jax"]["ready"] == [True] * STEPS
        assert len(saw["jax"]["compiled"]) == 1, saw["jax"]["compiled"]


def test_weights_come_back_as_they_were_given(conformance):
    (_, workload), saw = conformance
    assert saw["names"] == sorted(workloads.load(workload).weight_shapes)
    assert saw["round_trip"]


def test_the_loss_of_the_initial_weights_is_that_of_the_reference(training):
    (_, workload), saw = training
    logits = np.array(saw["reference"])
    own = logits[np.arange(len(logits)), saw["labels"]]
    assert saw["loss"] == pytest.approx(np.mean(np.log(np.exp(logits).sum(axis=1)) - own), abs=1e-5)
    assert abs(saw["loss"] - np.log(workloads.load(workload).shapes[-1][0])) < 1


def test_inputs_of_layers_are_those_of_the_reference(conformance):
    (_, workload), saw = conformance
    assert [f"{layer}/kernel" for layer in saw["layer_inputs"]] == [
        name for name in workloads.load(workload).weight_shapes if name.endswith("/kernel")
    ]
    # float32: some 10⁻⁷ a layer, and a value in another place as much as itself.
    assert max(saw["layer_inputs"].values()) < 1e-5


def test_training_goes_on_over_epochs_for_exactly_the_steps_asked_for(training):
    _, saw = training
    for losses in (saw["host"], saw["precisions"]["float32"]["losses"]):
        assert len(losses) == STEPS  # 3 batches an epoch
        assert len(set(losses)) == STEPS
    assert saw["moved"]
    assert saw["reloaded"] == pytest.approx(saw["loss"], abs=1e-6)
    first, second = saw["begun_anew"][:EPOCH], saw["begun_anew"][EPOCH:]
    assert second == pytest.approx(first, abs=1e-6)
    assert len(set(first)) == EPOCH


def test_both_inputs_train_on_the_same_batches_in_the_same_order(training):
    (_, workload), saw = training
    if workload == "article-cnn":  # without dropout, so the same steps
        assert saw["precisions"]["float32"]["losses"] == pytest.approx(saw["host"], abs=1e-5)


def test_dropout_draws_anew_in_every_step(training):
    (_, workload), saw = training
    rates = [layer.rate for layer in workloads.load(workload).layers if isinstance(layer, Dropout)]
    assert len(saw["redrawn"]) == (STEPS - 1) * len(rates)
    for share, rate in zip(saw["redrawn"], (STEPS - 1) * rates, strict=True):
        # Shares of some thousand units, and of two thousand of the last layer's in four images.
        assert share == pytest.approx(2 * rate * (1 - rate), abs=0.1)


def test_weights_that_do_not_fit_are_refused(conformance):
    (_, workload), saw = conformance
    first, *_ = workloads.load(workload).layers
    assert saw["missing"].startswith(f"layer {first.name}: ")
    assert saw["shape"].startswith(f"layer {first.name}: ")


def test_inference_goes_through_the_batches_again_and_again_and_hands_over_what_came_out(inference):
    _, saw = inference
    for of_it in saw["precisions"].values():
        assert of_it["told"] == [1, 2, 3, 4]  # 2 batches an epoch, each output before its step is counted
        assert of_it["types"] == ["float32"]
        assert of_it["again"] == 0
        assert of_it["varies"]
    assert saw["precisions"]["float32"]["off_evaluation"] < 1e-5
    assert saw["host"] == pytest.approx(saw["precisions"]["float32"]["first"], abs=1e-5)


def test_outputs_of_inference_are_those_of_the_reference(inference):
    _, saw = inference
    (reference,) = saw["reference"]
    assert saw["host"] == pytest.approx(reference, abs=1e-5)


def test_every_precision_of_a_cpu_infers_the_same_and_is_seen_in_the_numbers(inference):
    _, saw = inference
    for precision, of_it in saw["precisions"].items():
        assert of_it["outcome"] == {"precision_found": precision}
        # Some fifty roundings to 8 bits, of features that are of the size of 0.05.
        assert of_it["first"] == pytest.approx(saw["precisions"]["float32"]["first"], abs=0.02)


def test_out_of_memory_is_told_from_other_errors(of_framework):
    framework, saw = of_framework
    if "out_of_memory" not in saw:
        pytest.skip(f"{file_of(framework, 'samples.py')} is missing")
    assert set(saw["out_of_memory"]) == {True}
    assert set(saw["not_out_of_memory"]) == {False}


def test_where_memory_is_limited_onednn_says_so_in_other_words(of_framework):
    framework, saw = of_framework
    if catalogue.adapter(framework).environment == "pytorch":
        assert saw["limited"] == [True, False]


def test_every_precision_of_a_cpu_trains_and_is_seen_in_the_numbers(training):
    (framework, _), saw = training
    assert list(saw["precisions"]) == list(catalogue.adapter(framework).precisions["cpu"])
    for precision, of_it in saw["precisions"].items():
        assert of_it["stored"] == ["float32"]
        assert of_it["moved"]
        assert len(set(of_it["losses"])) == STEPS
        assert of_it["outcome"]["precision_found"] == precision
        assert "reason" not in of_it["outcome"]


def test_large_products_and_copies_can_be_timed_in_every_precision(conformance):
    _, saw = conformance
    for of_it in saw["precisions"].values():
        assert of_it["ceiling"].pop("ceiling_matrix_size") == 64
        assert sorted(of_it["ceiling"]) == ["ceiling_copy_gb_per_s", "ceiling_gflops"]
        assert all(value > 0 for value in of_it["ceiling"].values())


def test_a_lower_precision_trains_the_same_net(training):
    _, saw = training
    exact = saw["precisions"]["float32"]["losses"]
    for of_it in saw["precisions"].values():
        # The loss is of the size of 1, and each of its few roundings to 8 bits moves it by some 2⁻⁸.
        assert of_it["losses"][0] == pytest.approx(exact[0], abs=0.05)


def test_a_precision_that_is_not_in_effect_fails_the_run(conformance):
    _, saw = conformance
    if saw["planted"] is None:
        pytest.skip("it does not offer bfloat16 on a CPU")
    assert saw["planted"]["status"] == "failed"
    assert saw["planted"]["reason"] == "precision bfloat16 was requested, but the numbers are those of float32"


def test_without_a_gpu_there_is_an_error_and_no_run_on_the_cpu(of_framework):
    _, saw = of_framework
    assert saw["no_gpu"].startswith("a GPU was requested, but ")
    assert " sees none " in saw["no_gpu"]


def test_a_training_step_has_the_operations_of_the_spec_in_every_precision(training):
    (framework, name), saw = training
    workload = workloads.load(name)
    for precision, seen in saw["precisions"].items():
        all_of_them = workload.flops_per_sample
        possible = [PROBED * one for one in (all_of_them, all_of_them - workload.flops_of_a_first_state)]
        assert seen["step_flops"] in possible, (framework, precision)
        assert seen["kernels"] == saw["kernels"], (framework, precision)


def test_the_threads_are_as_many_as_asked_for(conformance):
    (framework, _), saw = conformance
    if "threads" not in saw["settings"]:
        pytest.skip(f"{framework} does not tell the number of its threads")
    assert saw["settings"]["threads"] == 1


def test_the_way_that_is_taken_is_seen_in_what_the_framework_runs(conformance):
    (framework, name), saw = conformance
    workload = workloads.load(name)
    samples, ran = expected(framework), dict(saw["kernels"])
    if "EXECUTION" in samples:
        assert ran.pop("execution") == samples["EXECUTION"]
    if workload.recurrent:
        assert ran.pop("recurrent") == "loop"  # cuDNN is for GPUs
    if BatchNorm in workload.kinds.values():
        assert ran.pop("batch_norm") == samples.get("BATCH_NORM", "elementwise")
    assert ran.keys() <= {"execution"}


def with_tuned(saw: dict) -> None:
    if saw["tuned"] is None:
        pytest.skip("it has no track tuned, or the workload has dropout")


def test_track_tuned_is_there_with_all_its_settings_or_says_why_not(conformance):
    (framework, workload), saw = conformance
    with_tuned(saw)
    refusal = expected(framework).get("UNAVAILABLE", {}).get(workload)
    assert ("unavailable" in saw["tuned"]) == (refusal is not None)
    if refusal:
        assert saw["tuned"]["unavailable"].startswith(refusal)
    else:
        assert saw["tuned"]["execution"] == "compiled"
        images = not workloads.load(workload).tokens  # which alone have channels to be last
        for setting, value in saw["tuned"]["tuning"].items():
            if images or setting != "channels_last":
                assert saw["tuned"]["settings"].get(setting, value) == value


def test_track_tuned_trains_the_same_net(training):
    _, saw = training
    with_tuned(saw)
    if "unavailable" not in saw["tuned"]:
        assert saw["tuned"]["moved"]
        assert saw["tuned"]["loss"] == pytest.approx(saw["precisions"]["float32"]["losses"][-1], abs=1e-4)


def test_track_tuned_infers_the_same(inference):
    _, saw = inference
    with_tuned(saw)
    assert saw["tuned"]["first"] == pytest.approx(saw["host"], abs=1e-5)


def test_the_memory_of_a_gpu_is_not_told_where_there_is_none(conformance):
    _, saw = conformance
    assert saw["precisions"]["float32"]["allocator"] == [None, None]
    assert saw["settings"]["device"].upper().endswith(("CPU", "CPU:0"))


def test_steps_in_one_call_take_the_same_batches_by_number(training):
    (framework, workload), saw = training
    if framework == "tensorflow" and workload == "article-cnn":
        by_data_set, by_number = saw["several"]
        assert by_data_set == pytest.approx(saw["precisions"]["float32"]["losses"][-1], abs=1e-5)
        assert by_number == pytest.approx(by_data_set, abs=1e-6)


def test_batches_that_keras_takes_by_number_train_as_those_that_it_is_given(training):
    (framework, workload), saw = training
    if framework == "keras-tensorflow" and workload == "article-cnn":
        assert saw["by_number"] == pytest.approx(saw["precisions"]["float32"]["losses"], abs=1e-6)
