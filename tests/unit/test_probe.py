"""Answers of a card, and their cost, on the stand-in through the real pynvml."""

import json
import subprocess
import sys

import pytest

import standin
from framebench.measure.devices.sampler import PROCESSES, QUERIES
from framebench.plan import catalogue

pytestmark = pytest.mark.check

ENERGY = "nvmlDeviceGetTotalEnergyConsumption"


@pytest.fixture
def probe(stand_in):
    def run(uuid: str = standin.UUIDS[0], seconds: float = 0.05) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-P", "-m", "framebench.measure.devices.probe"),
                *("--uuid", uuid, "--seconds", str(seconds)),
            ],
            env=stand_in.environment | {"PYTHONPATH": str(catalogue.ROOT / "workflow")},
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
        )

    return run


def test_every_call_of_the_sampler_is_told(probe):
    seen = json.loads(probe().stdout)
    assert (seen["card"]["name"], seen["card"]["stand_in"]) == ("NVIDIA H200", True)
    assert list(seen["calls"]) == [query.name for query in (*QUERIES, PROCESSES)]
    for found in seen["calls"].values():
        assert found["answered"], found
        assert 0 < found["cost_p50_ms"] <= found["cost_p99_ms"]


def test_a_call_that_is_not_answered_is_told_with_the_reason(probe, stand_in):
    stand_in.fault(ENERGY, standin.NOT_SUPPORTED)
    assert json.loads(probe().stdout)["calls"][ENERGY] == {"answered": False, "reason": "Not Supported"}


def test_the_cost_of_a_call_and_the_changes_of_its_answer_are_reported(probe, stand_in):
    stand_in.fault("nvmlDeviceGetTemperature", delay_ms=20)
    stand_in.cards[0].energy_since_ns = 1
    calls = json.loads(probe(seconds=0.2).stdout)["calls"]
    assert calls["nvmlDeviceGetTemperature"]["cost_p50_ms"] >= 20
    assert calls["nvmlDeviceGetTemperature"]["changes"] == 0
    assert calls["nvmlDeviceGetTemperature"]["change_every_ms"] is None
    assert calls[ENERGY]["changes"] > 1
    assert calls[ENERGY]["change_every_ms"] > 0


def test_an_unknown_card_is_named_with_those_that_are_there(probe):
    found = probe(uuid="GPU-0")
    assert found.returncode == 1
    assert found.stderr.startswith("GPU-0 is not on this machine, which has ")
