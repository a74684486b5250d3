"""The sampler: its ticks on a clock of the test's own, the rest in real processes that load the stand-in."""

import os
import select
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import standin
from framebench.measure.devices import samples
from framebench.measure.devices.sampler import PROCESSES_EVERY_S, QUERIES, ticks
from framebench.plan import catalogue

pytestmark = pytest.mark.check

PACKAGE = {"PYTHONPATH": str(catalogue.ROOT / "workflow")}
PERIOD_NS = 100
DEADLINE_S = 60
SAMPLED = "nvmlDeviceGetPowerUsage"  # called once for each sample, and once by the probe
# Starts a sampler as the supervisor does, says its process id, and waits.
PARENT = """
import sys
from pathlib import Path
from framebench.measure.devices.sampling import Sampling
sampling = Sampling({uuid!r}, 100, None, Path({lines!r}))
print(sampling._process.pid, flush=True)
sys.stdin.read()
"""


class Clock:
    """A clock that stands still but while it is waited, each time for so much too long, and while samples are taken."""

    def __init__(self, waits_ns: list[int]) -> None:
        self.now_ns, self.waits_ns, self.waited_for_ns = 1000, waits_ns, []

    def __call__(self) -> int:
        return self.now_ns

    def wait_until(self, t_ns: int) -> bool:
        if not self.waits_ns:
            return False
        self.waited_for_ns.append(t_ns)
        self.now_ns = max(self.now_ns, t_ns) + self.waits_ns.pop(0)
        return True


def taken(clock: Clock, samples_ns: list[int]) -> list[int]:
    """When samples are taken that last so long."""
    seen = []
    for t_ns in ticks(PERIOD_NS, clock.wait_until, clock):
        seen.append(t_ns)
        clock.now_ns += samples_ns[len(seen) - 1]
    return seen


def test_samples_that_are_fast_enough_are_a_period_apart():
    assert taken(Clock([0] * 4), [10, 99, 0, 50]) == [1000, 1100, 1200, 1300]


def test_the_ticks_that_a_slow_sample_misses_are_skipped_and_the_grid_is_kept():
    assert taken(Clock([0] * 4), [10, 250, 10, 10]) == [1000, 1100, 1400, 1500]


def test_after_a_late_sample_the_next_tick_is_not_taken_at_once():
    assert taken(Clock([0, 60, 0, 0]), [0] * 4) == [1000, 1160, 1300, 1400]


@given(delays=st.lists(st.tuples(st.integers(0, 350), st.integers(0, 350)), min_size=2, max_size=30))
def test_no_two_samples_are_closer_than_half_a_period_whatever_is_late(delays):
    waits, lasts = (list(part) for part in zip(*delays, strict=True))
    clock = Clock(waits)
    seen = taken(clock, lasts)
    assert len(seen) == len(delays)
    assert all(later - earlier >= PERIOD_NS // 2 for earlier, later in pairwise(seen))
    assert all((t_ns - 1000) % PERIOD_NS == 0 for t_ns in clock.waited_for_ns)


class Sampler:
    """The sampler's process on the first of two cards, and what it wrote."""

    def __init__(self, environment: dict[str, str], lines, *options: str, uuid: str = standin.UUIDS[0]) -> None:
        self.lines = lines
        command = [sys.executable, "-P", "-m", "framebench.measure.devices.sampler", "--uuid", uuid]
        self.process = subprocess.Popen(
            [*command, "--hz", "100", "--output", lines, *options],
            env=environment | PACKAGE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def stopped(self) -> samples.Samples:
        self.process.stdin.close()
        return self.ended()

    def ended(self) -> samples.Samples:
        assert self.process.wait(DEADLINE_S) == 0
        return samples.read_lines(self.lines)


@pytest.fixture
def start(stand_in, tmp_path):
    """Starts a sampler; none outlives the test."""
    started = []

    def sampler(*options: str, **others) -> Sampler:
        started.append(Sampler(stand_in.environment, tmp_path / "lines", *options, **others))
        return started[-1]

    yield sampler
    for one in started:
        with one.process as process:
            process.kill()


def wait_for_calls(stand_in: standin.StandIn, count: int, function: str = SAMPLED) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while stand_in.calls(function) < count:
        assert time.monotonic() < deadline, f"{function} was called {stand_in.calls(function)} times"
        time.sleep(0.005)


def test_everything_that_the_card_answers_is_sampled_on_the_clock_of_the_blocks(stand_in, start):
    card = stand_in.cards[0]
    card.memory_used_bytes, card.energy_mj, card.ecc_errors = 3 * standin.GIB, 5_000_000, 2
    card.power_mw, card.power_instant_mw, card.throttle_reasons = 300_000, 350_000, 0x4
    card.utilisation, card.memory_utilisation = 97, 40
    began_ns = time.perf_counter_ns()
    sampler = start()
    wait_for_calls(stand_in, 5)
    seen = sampler.stopped()
    assert seen.ended is None
    assert began_ns < seen.t_ns[0] < seen.t_ns[-1] < time.perf_counter_ns()
    assert {name: set(values) for name, values in seen.columns.items()} == {
        "energy_counter_j": {5000},
        "power_instant_w": {350},
        "power_average_w": {300},
        "power_w": {300},
        "memory_used_mib": {3072},
        "memory_reserved_mib": {512},
        "utilisation_percent": {97},
        "memory_utilisation_percent": {40},
        "sm_mhz": {345},
        "memory_mhz": {3201},
        "temperature_c": {35},
        "throttle_reasons_bits": {0x4},
        "ecc_uncorrected_errors": {2},
    }
    assert (seen.uuid, seen.hz, seen.dropped) == (standin.UUIDS[0], 100, {})


# Function of NVML → columns that no other function fills.
ONLY = {
    "nvmlDeviceGetTotalEnergyConsumption": {"energy_counter_j"},
    "nvmlDeviceGetFieldValues": {"power_instant_w", "power_average_w"},
    "nvmlDeviceGetPowerUsage": {"power_w"},
    "nvmlDeviceGetUtilizationRates": {"utilisation_percent", "memory_utilisation_percent"},
    "nvmlDeviceGetClockInfo": {"sm_mhz", "memory_mhz"},
    "nvmlDeviceGetTemperature": {"temperature_c"},
    "nvmlDeviceGetTotalEccErrors": {"ecc_uncorrected_errors"},
}


@pytest.mark.parametrize("function", ONLY)
def test_unsupported_queries_are_dropped_with_their_reason_and_asked_once(stand_in, start, function):
    stand_in.fault(function, standin.NOT_SUPPORTED)
    other = "nvmlDeviceGetCurrentClocksEventReasons"
    sampler = start()
    wait_for_calls(stand_in, 4, other)
    seen = sampler.stopped()
    columns = {column for query in QUERIES for column in query.columns}
    assert set(seen.columns) == columns - ONLY[function]
    assert set(seen.dropped.values()) == {"Not Supported"}
    assert stand_in.calls(function) == len(seen.dropped) == len([q for q in QUERIES if {*q.columns} & ONLY[function]])


def test_a_driver_that_knows_no_function_leaves_times_and_reasons(stand_in, start):
    dropped = [*ONLY, "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"]
    dropped += ["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"]
    for function in dropped:
        stand_in.fault(function, standin.FUNCTION_NOT_FOUND)
    sampler = start()
    assert sampler.process.stdout.readline() == b"sampling\n"
    seen = sampler.stopped()
    assert (seen.columns, seen.ended) == ({}, None)
    assert set(seen.dropped) == {query.name for query in QUERIES}
    assert set(seen.dropped.values()) == {"Function Not Found"}


def test_a_field_that_fails_in_a_call_that_succeeds_is_dropped_and_is_no_power_of_nothing(stand_in, start):
    stand_in.cards[0].power_instant_mw = 0
    sampler = start()
    wait_for_calls(stand_in, 3)
    seen = sampler.stopped()
    assert seen.dropped == {"NVML_FI_DEV_POWER_INSTANT": "Not Supported"}
    assert set(seen.columns["power_average_w"]) == {120}


def test_a_call_that_fails_once_leaves_a_gap(stand_in, start):
    stand_in.fault("nvmlDeviceGetTotalEnergyConsumption", standin.NOT_READY, after=2, times=1)
    sampler = start()
    wait_for_calls(stand_in, 6)
    counter_j = sampler.stopped().columns["energy_counter_j"]
    assert list(np.flatnonzero(np.isnan(counter_j))) == [1]


@pytest.mark.parametrize(
    ("missing", "instead", "column"),
    [
        ("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo", "memory_used_mib"),
        (
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetCurrentClocksThrottleReasons",
            "throttle_reasons_bits",
        ),
    ],
)
def test_an_older_driver_is_asked_by_the_older_call_and_that_is_said(stand_in, start, missing, instead, column):
    stand_in.fault(missing, standin.FUNCTION_NOT_FOUND)
    sampler = start()
    wait_for_calls(stand_in, 3)
    seen = sampler.stopped()
    assert seen.sources[column] == instead
    assert seen.dropped == {missing: "Function Not Found"}
    assert ("memory_reserved_mib" in seen.columns) == (column != "memory_used_mib")


@pytest.mark.parametrize(("code", "reason"), [(standin.GPU_IS_LOST, "GPU is lost"), (16, "GPU requires restart")])
def test_a_lost_card_ends_the_sampler_and_what_was_sampled_is_kept(stand_in, start, code, reason):
    stand_in.fault("nvmlDeviceGetTemperature", code, after=6)
    seen = start().ended()
    assert seen.ended == f"nvmlDeviceGetTemperature: {reason}"
    assert len(seen.t_ns) == len(seen.columns["power_w"]) == 5  # the first of six calls was the probe's


def test_the_loss_of_the_other_card_is_none_of_its_business(stand_in, start):
    stand_in.fault("nvmlDeviceGetTemperature", standin.GPU_IS_LOST, card=1)
    sampler = start()
    wait_for_calls(stand_in, 5)
    assert sampler.stopped().ended is None


def test_the_ticks_that_a_slow_call_misses_are_not_made_up_for(stand_in, start):
    stand_in.fault("nvmlDeviceGetTemperature", after=4, times=1, delay_ms=250)
    sampler = start()
    wait_for_calls(stand_in, 12)
    gaps_ns = np.diff(sampler.stopped().t_ns)
    assert gaps_ns.max() >= 250e6
    assert gaps_ns.min() >= 5e6, "half a period"


def test_processes_are_listed_rarely_and_their_memory_may_be_unknown(stand_in, start):
    stand_in.show_processes(0, {4001: 3 * standin.GIB, 4002: standin.UNKNOWN_BYTES})
    sampler = start()
    wait_for_calls(stand_in, 20)
    seen = sampler.stopped()
    np.testing.assert_array_equal(seen.processes[:2, 1:], [[4001, 3072], [4002, np.nan]])
    span_s = (seen.t_ns[-1] - seen.t_ns[0]) / 1e9
    assert len(np.unique(seen.processes[:, 0])) <= 1 + span_s // PROCESSES_EVERY_S


def test_a_driver_without_the_newest_list_of_processes_is_asked_for_the_older_one(stand_in, start):
    stand_in.fault("nvmlDeviceGetComputeRunningProcesses_v3", standin.FUNCTION_NOT_FOUND)
    stand_in.show_processes(0, {4001: standin.GIB})
    sampler = start()
    wait_for_calls(stand_in, 5)
    seen = sampler.stopped()
    assert (seen.dropped, list(seen.processes[0, 1:])) == ({}, [4001, 1024])


def test_a_card_that_lists_no_processes_is_not_asked_again(stand_in, start):
    for function in standin.PROCESS_LISTS:
        stand_in.fault(function, standin.FUNCTION_NOT_FOUND)
    sampler = start()
    wait_for_calls(stand_in, 5)
    told = "; ".join(f"{function}: Function Not Found" for function in reversed(standin.PROCESS_LISTS))
    assert sampler.stopped().dropped == {"nvmlDeviceGetComputeRunningProcesses": told}
    assert stand_in.calls("nvmlDeviceGetComputeRunningProcesses_v3") == 1


def test_the_sampler_leaves_the_trainers_cores_alone_if_there_are_others(stand_in, start):
    cores = os.sched_getaffinity(0)
    for avoided, expected in [({min(cores)}, cores - {min(cores)} or cores), (cores, cores)]:
        sampler = start("--avoid-cores", *map(str, avoided))
        assert sampler.process.stdout.readline() == b"sampling\n"
        assert os.sched_getaffinity(sampler.process.pid) == expected
        sampler.stopped()


def test_a_sampler_whose_parent_was_killed_ends(stand_in, tmp_path):
    code = PARENT.format(uuid=standin.UUIDS[0], lines=str(tmp_path / "lines"))
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=stand_in.environment | PACKAGE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    sampler = os.pidfd_open(int(parent.stdout.readline()))
    wait_for_calls(stand_in, 5)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    assert select.select([sampler], [], [], DEADLINE_S)[0], "it goes on"
    os.close(sampler)
    assert samples.read_lines(tmp_path / "lines").ended is None


def test_a_card_that_is_not_there_is_the_reason(start):
    seen = start(uuid="GPU-none").ended()
    assert seen.ended.startswith("GPU-none is not on this machine, which has GPU-")
    assert not len(seen.t_ns)


def test_no_driver_is_the_reason(stand_in_libraries, tmp_path):
    seen = Sampler(standin.without_driver(stand_in_libraries), tmp_path / "lines").ended()
    assert seen.ended == "libnvidia-ml.so.1 is there, but no driver is loaded"
