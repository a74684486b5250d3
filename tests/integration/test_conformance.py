"""Every adapter keeps the contract on every workload: one suite, over all that are found."""

import json
import subprocess

import numpy as np
import pytest

from conftest import PROJECT
from framebench import catalogue, environments, workloads

pytestmark = pytest.mark.usefixtures("installed")
BATCH_SIZE = 4
# Runs under the framework's own interpreter; prints what it saw.
SCRIPT = """
import json, sys
import numpy as np
from framebench import frameworks, workloads

framework, name, batch_size = sys.argv[1], sys.argv[2], int(sys.argv[3])
adapter, workload = frameworks.load(framework), workloads.load(name)
weights = workload.initial_weights(1)
generator = np.random.default_rng(1)
images = generator.random((3 * batch_size, *workload.input_shape), np.float32)
labels = generator.integers(0, workload.shapes[-1][0], 3 * batch_size)


class Steps:
    # A pace that ends after some steps and notes every one.
    def __init__(self, count):
        self.count, self.losses = count, []
    def over(self, synchronise):
        synchronise()
        self.losses.append(trainer.loss(images, labels))
        return len(self.losses) == self.count


seen = {"versions": adapter.versions()}
trainer = adapter.Trainer(workload, weights, batch_size, 1, "float32")
round_trip = trainer.weights()
seen["round_trip"] = all(np.array_equal(round_trip[key], weights[key]) for key in weights)
seen["names"] = sorted(round_trip)
seen["loss"] = trainer.loss(images, labels)
seen["settings"] = trainer.settings()
for input in ("device", "host"):
    trainer = adapter.Trainer(workload, weights, batch_size, 1, "float32")
    trainer.feed(images, labels, input)
    steps = Steps(7)
    trainer.train(steps)
    seen[input] = steps.losses
    changed = trainer.weights()
    seen[input + "_moved"] = all((changed[key] != weights[key]).any() for key in weights)
    trainer.load(weights)
    seen[input + "_reloaded"] = trainer.loss(images, labels)
for broken in ("missing", "shape"):
    bad = dict(weights)
    key = next(iter(bad))
    if broken == "missing":
        del bad[key]
    else:
        bad[key] = bad[key][..., :-1]
    try:
        trainer.load(bad)
        seen[broken] = "accepted"
    except (KeyError, ValueError, RuntimeError) as error:
        seen[broken] = str(error)
seen["out_of_memory"] = adapter.out_of_memory(MemoryError()), adapter.out_of_memory(ValueError("x"))
json.dump(seen, sys.stdout)
"""


@pytest.fixture(scope="module")
def seen() -> dict:
    """(framework, workload) → what the script saw, each run once."""
    return {}


@pytest.fixture(params=[(f, w) for f in catalogue.frameworks() for w in catalogue.workloads()], ids="-".join)
def conformance(request, seen):
    if request.param not in seen:
        framework, workload = request.param
        prefix = PROJECT / environments.prefix(environments.lock_of(framework, "cpu"))
        result = subprocess.run(
            [prefix / "bin" / "python", "-P", "-c", SCRIPT, framework, workload, str(BATCH_SIZE)],
            env={"PYTHONPATH": str(PROJECT / "workflow"), "CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        seen[request.param] = json.loads(result.stdout)
    return request.param, seen[request.param]


def test_the_lock_installs_what_the_adapter_says(conformance):
    (framework, _), saw = conformance
    version = saw["versions"]["framework_version"].partition("+")[0]
    pins = environments.pins(environments.lock_of(framework, "cpu"))
    assert any(f"=={version}" in pin for pin in pins)


def test_weights_come_back_as_they_were_given(conformance):
    (_, workload), saw = conformance
    assert saw["names"] == sorted(workloads.load(workload).weight_shapes)
    assert saw["round_trip"]


def test_the_loss_of_the_initial_weights_is_the_same_in_every_framework(conformance, seen):
    (_, workload), saw = conformance
    others = [other["loss"] for (_, name), other in seen.items() if name == workload]
    assert np.ptp(others) < 1e-5
    assert abs(saw["loss"] - np.log(10)) < 1


@pytest.mark.parametrize("input", ["device", "host"])
def test_training_goes_on_over_epochs_for_exactly_the_steps_asked_for(conformance, input):
    _, saw = conformance
    assert len(saw[input]) == 7  # 3 batches an epoch
    assert len(set(saw[input])) == 7
    assert saw[f"{input}_moved"]
    assert saw[f"{input}_reloaded"] == pytest.approx(saw["loss"], abs=1e-6)


def test_both_inputs_train_on_the_same_batches_in_the_same_order(conformance):
    (_, workload), saw = conformance
    if workload == "article-cnn":  # without dropout, so the same steps
        assert saw["device"] == pytest.approx(saw["host"], abs=1e-5)


def test_weights_that_do_not_fit_are_refused(conformance):
    _, saw = conformance
    assert "conv1" in saw["missing"]
    assert "conv1" in saw["shape"]


def test_out_of_memory_is_told_from_other_errors(conformance):
    _, saw = conformance
    assert saw["out_of_memory"] == [True, False]
