"""Memory, energy and state from samples of a GPU, for power curves of known truth."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebench.measure.devices import samples
from framebench.measure.devices.samples import MIN_ENERGY_S, NO_END, Samples

pytestmark = pytest.mark.check

S = 10**9
QUANTUM_S = 0.1  # in which the counters of real cards move
PERIOD_S = 0.1


def sampled(seconds, **columns) -> Samples:
    """Samples at these times in s, of a card that reports these columns only."""
    return Samples(
        uuid="GPU-0",
        hz=10,
        sources={name: f"call of {name}" for name in columns},
        dropped={"nvmlDeviceGetPowerUsage": "Not Supported"},
        ended=None,
        t_ns=np.round(np.asarray(seconds, dtype=float) * S).astype(np.int64),
        columns={name: np.asarray(values, dtype=float) for name, values in columns.items()},
        processes=np.zeros((0, 3)),
    )


class Curve:
    """A power that changes every 50 ms between 0 and 700 W, and a counter of it that moves every QUANTUM_S."""

    STEP_S = 0.05
    MOST_W = 700.0

    def __init__(self, seed: int, length_s: float = 30.0) -> None:
        self.rng = np.random.default_rng(seed)
        power_w = self.rng.uniform(0, self.MOST_W, round(length_s / self.STEP_S))
        self.at_s = self.STEP_S * np.arange(len(power_w) + 1)
        self.used_j = np.concatenate([[0], np.cumsum(power_w * self.STEP_S)])

    def used_until_j(self, t_s):
        return np.interp(t_s, self.at_s, self.used_j)

    def counter_j(self, t_s):
        return self.used_until_j(np.floor(t_s / QUANTUM_S) * QUANTUM_S)


@given(seed=st.integers(0, 10**6), t0_s=st.floats(1, 10), window_s=st.floats(0.5, 15))
def test_the_counter_errs_by_no_more_than_the_time_between_its_steps_and_readings(seed, t0_s, window_s):
    curve = Curve(seed)
    t_s = np.arange(0, 29, PERIOD_S) + curve.rng.uniform(0, PERIOD_S / 2)
    t0_ns, t1_ns = round(t0_s * S), round((t0_s + window_s) * S)
    found = samples.counted_j(np.round(t_s * S).astype(np.int64), curve.counter_j(t_s), t0_ns, t1_ns)
    truth = curve.used_until_j(t1_ns / S) - curve.used_until_j(t0_ns / S)
    assert abs((found or 0) - truth) <= (3 * PERIOD_S + QUANTUM_S) * curve.MOST_W


@pytest.mark.parametrize(("window_s", "largest_rms"), [(MIN_ENERGY_S, 0.01), (2 * MIN_ENERGY_S, 0.005)])
def test_the_counter_is_within_one_percent_over_the_shortest_window_that_has_an_energy(window_s, largest_rms):
    rng = np.random.default_rng(20180629)
    errors = []
    for _ in range(500):
        t_s = np.arange(0, 20, PERIOD_S) + rng.uniform(0, PERIOD_S)
        counter_j = 400 * np.floor(t_s / QUANTUM_S + rng.uniform()) * QUANTUM_S
        t0_ns = round(rng.uniform(1, 2) * S)
        found = samples.counted_j((t_s * S).astype(np.int64), counter_j, t0_ns, t0_ns + round(window_s * S))
        assert found
        errors.append(found / (400 * window_s) - 1)
    assert np.sqrt(np.mean(np.square(errors))) < largest_rms


def test_a_counter_that_went_back_stood_still_or_was_not_read_around_the_window_counts_nothing():
    t_ns = np.array([0, 10, 20, 30]) * S
    assert samples.counted_j(t_ns, np.array([100.0, 200, 300, 400]), 5 * S, 25 * S) == pytest.approx(200)
    assert samples.counted_j(t_ns, np.array([100.0, 200, 0, 1000]), 5 * S, 25 * S) is None
    assert samples.counted_j(t_ns, np.full(4, 100.0), 5 * S, 25 * S) is None
    assert samples.counted_j(t_ns, np.array([np.nan, 200, 300, 400]), 5 * S, 25 * S) is None
    assert samples.counted_j(t_ns, np.array([100.0, 200, 300, 400]), 5 * S, 31 * S) is None
    assert samples.counted_j(t_ns, np.full(4, np.nan), 5 * S, 25 * S) is None


def test_a_reading_of_power_holds_until_the_next():
    t_ns = np.array([0, 1, 2, 4]) * S
    power_w = np.array([100.0, 200, np.nan, 50])
    # 0.5 s of 100 W, 3 s of 200 W (one reading failed), 2 s of 50 W.
    assert samples.integrated_j(t_ns, power_w, S // 2, 6 * S) == pytest.approx(50 + 600 + 100)
    assert samples.integrated_j(t_ns[1:], power_w[1:], S // 2, 6 * S) is None
    assert samples.integrated_j(t_ns, np.full(4, np.nan), S // 2, 6 * S) is None


@given(seed=st.integers(0, 10**6), times_s=st.lists(st.floats(0.5, 20), min_size=3, max_size=3, unique=True))
def test_the_energy_of_a_stretch_is_that_of_its_parts_and_lies_between_the_powers_read(seed, times_s):
    rng = np.random.default_rng(seed)
    t_ns = np.cumsum(np.concatenate([[0], rng.integers(S // 100, S, 40)]))
    power_w = rng.uniform(50, 700, len(t_ns))
    start, middle, end = sorted(round(t * S) for t in times_s)
    whole = samples.integrated_j(t_ns, power_w, start, end)
    parts = [samples.integrated_j(t_ns, power_w, *part) for part in [(start, middle), (middle, end)]]
    assert whole == pytest.approx(sum(parts))
    window_s = (end - start) / S
    assert power_w.min() * window_s * 0.999 <= whole <= power_w.max() * window_s * 1.001


TIMES_S = np.arange(0, 20, 0.1)


def with_energy(counter_w: float | None, power_w: float | None) -> Samples:
    """20 s of a card whose counter and whose power tell these watts."""
    columns = {}
    if counter_w is not None:
        columns["energy_counter_j"] = 1000 + counter_w * TIMES_S
    if power_w is not None:
        columns["power_w"] = np.full(len(TIMES_S), power_w)
    return sampled(TIMES_S, **columns)


@pytest.mark.parametrize(
    ("counter_w", "power_w", "energy_j", "source", "differ"),
    [
        (300, 300, 3000, "counter", False),
        (300, 271, 3000, "counter", False),
        (300, 269, 3000, "counter", True),
        (300, 331, 3000, "counter", True),
        (300, None, 3000, "counter", False),
        (None, 250, 2500, "integrated_power", False),
    ],
)
def test_energy_is_the_counters_where_there_is_one_and_marked_where_not(counter_w, power_w, energy_j, source, differ):
    found = samples.energy(with_energy(counter_w, power_w), 2 * S, 12 * S, images=6000)
    assert found == {
        "energy_window_s": 10,
        "power_mean_w": pytest.approx(power_w) if power_w else None,
        "energy_j": pytest.approx(energy_j),
        "energy_source": source,
        "images_per_j": pytest.approx(6000 / energy_j),
        "energy_reason": None,
    }
    assert samples.flags(with_energy(counter_w, power_w), 2 * S, 12 * S)["energy_sources_differ"] is differ


def test_a_window_that_is_too_short_has_watts_and_no_joules():
    found = samples.energy(with_energy(300, 200), 2 * S, 2 * S + round(4.99 * S), images=6000)
    assert (found["energy_j"], found["images_per_j"], found["energy_source"]) == (None, None, None)
    assert found["power_mean_w"] == pytest.approx(200)
    assert found["energy_reason"] == "the timed blocks span 4.99 s; energy needs 5 s"
    assert not samples.flags(with_energy(300, 200), 2 * S, 2 * S + round(4.99 * S))["energy_sources_differ"]


def test_a_card_that_tells_neither_counter_nor_power_has_no_energy_and_says_why():
    found = samples.energy(with_energy(None, None), 2 * S, 12 * S, images=6000)
    assert (found["energy_j"], found["power_mean_w"]) == (None, None)
    assert found["energy_reason"] == "neither a counter nor a power was read: Not Supported"


def test_power_is_the_instants_where_the_card_tells_it():
    of_three = {"power_average_w": [1.0], "power_w": [2.0], "power_instant_w": [3.0]}
    assert sampled([0], **of_three).power == "power_instant_w"
    del of_three["power_instant_w"]
    assert sampled([0], **of_three).power == "power_w"
    assert sampled([0], memory_used_mib=[1.0]).power is None


def test_the_state_is_that_of_the_window_alone():
    found = samples.state(
        sampled(
            range(6),
            sm_mhz=[345, 1980, 1900, np.nan, 1800, 345],
            memory_mhz=[100, 3201, 3201, 3201, 3201, 100],
            temperature_c=[90, 50, 60, 61, 60, 95],
            utilisation_percent=[0, 97, 99, 98, 100, 0],
            throttle_reasons_bits=[0x8, 0x4, 0x0, 0x24, 0x4, 0x40],
        ),
        1 * S,
        4 * S,
    )
    assert found == {
        "sm_mhz": 1900,
        "memory_mhz": 3201,
        "temperature_max_c": 61,
        "gpu_utilisation_percent": 98.5,
        "throttle_reasons": "sw_power_cap;sw_thermal_slowdown",
    }


def test_a_card_that_tells_nothing_has_no_state():
    assert set(samples.state(sampled(range(6)), S, 4 * S).values()) == {None}


@pytest.mark.parametrize(
    ("bits", "names", "throttled"),
    [
        (0x0, "none", False),
        (0x1, "gpu_idle", False),
        (0x4, "sw_power_cap", False),
        (0x8, "hw_slowdown", True),
        (0x20, "sw_thermal_slowdown", True),
        (0x40, "hw_thermal_slowdown", True),
        (0x84, "sw_power_cap;hw_power_brake_slowdown", True),
        (0x400, "0x400", False),
    ],
)
def test_throttle_reasons_have_names_and_slowdowns_a_flag(bits, names, throttled):
    seen = sampled(range(3), throttle_reasons_bits=[0, bits, 0])
    assert samples.state(seen, 0, 2 * S)["throttle_reasons"] == names
    assert samples.flags(seen, 0, 2 * S)["throttled"] is throttled


def test_memory_of_a_run_is_above_what_the_idle_card_held():
    seen = sampled(
        range(6),
        memory_used_mib=[500, 501, 500, 3000, 4096, 600],
    )
    seen = Samples(**vars(seen) | {"processes": np.array([[3 * S, 42, 900], [4 * S, 42, np.nan], [4 * S, 7, 9000]])})
    found = samples.observed(seen, round(2.5 * S), 42, {"gpu_started_mib": 900}, 32)
    assert found["gpu_baseline_mib"] == 500
    assert found["gpu_context_mib"] == 400
    assert found["gpu_peak_delta_mib"] == 3596
    assert found["gpu_process_peak_mib"] == 900
    assert found["gpu_memory_source"] == "call of memory_used_mib"
    assert (found["energy_reason"], found["flags"]) == ("no block was timed", [])


def test_memory_that_another_process_gave_back_is_no_memory_below_zero_of_the_run():
    """On a shared server: another's 9000 MiB were there before the run, and gone in it."""
    seen = sampled(range(6), memory_used_mib=[9500, 9500, 9500, 900, 3000, 3000])
    found = samples.observed(seen, round(2.5 * S), 42, {"gpu_started_mib": 900}, 32)
    assert (found["gpu_baseline_mib"], found["gpu_context_mib"], found["gpu_peak_delta_mib"]) == (9500, None, None)
    assert found["unknown"]["gpu_context_mib"] == found["unknown"]["gpu_peak_delta_mib"] == samples.LESS


def test_memory_after_the_training_does_not_count():
    seen = sampled(range(6), memory_used_mib=[500, 500, 2000, 3000, 4096, 5000])
    seen = Samples(**vars(seen) | {"processes": np.array([[2 * S, 42, 900], [4 * S, 42, 4500]])})
    found = samples.observed(seen, round(1.5 * S), 42, {"training_end_ns": round(3.5 * S)}, 32)
    assert (found["gpu_peak_delta_mib"], found["gpu_process_peak_mib"]) == (2500, 900)


def test_values_that_the_card_does_not_report_are_null():
    found = samples.observed(sampled(range(6)), 2 * S, 42, {"gpu_started_mib": 900}, 32)
    assert {name for name, value in found.items() if value not in (None, [])} == {
        *("sampler_hz", "energy_reason", "unknown")
    }


def test_every_value_that_is_not_known_has_its_reason():
    seen = sampled(range(20), memory_used_mib=np.full(20, np.nan), power_w=np.zeros(20))
    dropped = {"nvmlDeviceGetClockInfo(SM)": "Not Supported", "nvmlDeviceGetTemperature": "Insufficient Permissions"}
    dropped["nvmlDeviceGetComputeRunningProcesses"] = "nvmlDeviceGetComputeRunningProcesses_v3: Not Supported"
    seen = Samples(**vars(seen) | {"dropped": dropped})
    blocks = [{"t0_ns": 4 * S, "t1_ns": 12 * S, "steps": 10}]
    found = samples.observed(seen, 2 * S, 42, {"blocks": blocks, "gpu_started_mib": None}, 32)
    reasons = found["unknown"]
    known = {name for name, value in found.items() if value is not None}
    assert not known & set(reasons)
    assert set(samples.OF_COLUMN) | {"gpu_process_peak_mib"} == set(reasons)
    assert reasons["sm_mhz"] == "Not Supported"
    assert reasons["temperature_max_c"] == "Insufficient Permissions"
    assert reasons["gpu_baseline_mib"] == reasons["gpu_started_mib"] == "it was not read at that time"
    assert reasons["power_mean_w"] == "the card answered 0, which is not from 0.001 to 10000"
    assert found["energy_reason"] == f"neither a counter nor a power was read: {reasons['power_mean_w']}"
    assert reasons["gpu_process_peak_mib"] == "nvmlDeviceGetComputeRunningProcesses_v3: Not Supported"


@pytest.mark.parametrize(
    ("listed", "peak_mib", "reason"),
    [
        # In a container, where 42 is 70042 outside: github.com/NVIDIA/nvidia-docker/issues/179, Syllo/nvtop#149.
        ([(1, 5, 300), (3, 5, 300), (3, 70042, 900), (4, 70042, 950)], 950, ""),
        ([(3, 70042, 900), (9, 70042, 990)], 900, ""),
        ([(3, 70042, 900), (4, 70043, 950)], None, samples.OTHER_IDS),
        (
            [(1, 5, 300), (3, 5, 300)],
            None,
            "no process came with the run in the driver's list, which is read every 5 s",
        ),
        ([], None, "no process came with the run in the driver's list, which is read every 5 s"),
        ([(3, 70042, np.nan)], None, "the driver does not tell the memory of a process"),
        # Outside of one, others that come meanwhile are no matter.
        ([(3, 42, 900), (4, 70043, 950)], 900, ""),
        ([(3, 42, np.nan), (4, 70043, 950)], None, "the driver does not tell the memory of a process"),
    ],
)
def test_memory_of_a_process_listed_under_another_id_is_known_by_comparing_or_not_at_all(listed, peak_mib, reason):
    processes = np.array([(at * S, pid, mib) for at, pid, mib in listed], dtype=float).reshape(-1, 3)
    seen = Samples(**vars(sampled(range(10))) | {"processes": processes})
    assert samples.process_peak_mib(seen, 2 * S, 42, 8 * S, computed=True) == (peak_mib, reason)
    if 42 not in processes[:, 1]:
        before_it_computed, _ = samples.process_peak_mib(seen, 2 * S, 42, 8 * S, computed=False)
        assert before_it_computed is None


@pytest.mark.parametrize("nonsense_w", [0.0, 4_294_967.295, -1.0])
def test_a_power_that_no_card_has_is_none(nonsense_w):
    """Virtual GPUs and some drivers answer so; a real power in another column counts."""
    alone = with_energy(None, nonsense_w)
    assert (alone.power, samples.energies_j(alone, 2 * S, 12 * S)) == (None, (None, None))
    columns = {"power_instant_w": np.full(len(TIMES_S), nonsense_w), "power_w": np.full(len(TIMES_S), 250.0)}
    assert samples.energies_j(sampled(TIMES_S, **columns), 2 * S, 12 * S) == (None, pytest.approx(2500))
    columns["power_w"][50] = nonsense_w  # one reading: the one before it holds on
    assert samples.energies_j(sampled(TIMES_S, **columns), 2 * S, 12 * S) == (None, pytest.approx(2500))


@pytest.mark.parametrize(
    ("column", "field", "nonsense"),
    [
        ("sm_mhz", "sm_mhz", 2.0**32 - 1),
        ("memory_mhz", "memory_mhz", 0),
        ("utilisation_percent", "gpu_utilisation_percent", 2.0**32 - 1),
        ("temperature_c", "temperature_max_c", 2.0**32 - 1),
        ("temperature_c", "temperature_max_c", 0),
        ("throttle_reasons_bits", "throttle_reasons", 2.0**64 - 1),
        ("memory_used_mib", "gpu_baseline_mib", (2.0**64 - 1) / 2**20),
    ],
)
def test_an_answer_that_no_card_can_give_is_null_with_the_reason_and_not_in_the_file(tmp_path, column, field, nonsense):
    """Drivers answer NVML_VALUE_NOT_AVAILABLE, -1 in an unsigned number, or 0."""
    seen = sampled(range(20), **{column: np.full(20, nonsense)})
    found = samples.observed(seen, 2 * S, 42, {"blocks": [{"t0_ns": 4 * S, "t1_ns": 12 * S, "steps": 10}]}, 32)
    assert found[field] is None
    assert found["unknown"][field].startswith(f"the card answered {nonsense:g}, which is not from ")
    assert "throttled" not in found["flags"]
    samples.save(tmp_path / "samples.npz", seen)
    assert np.isnan(samples.load(tmp_path / "samples.npz").columns[column]).all()


@pytest.mark.parametrize(
    "counter_j",
    [
        1000 + 0 * TIMES_S,  # stands still
        1000 + 300 * TIMES_S - 2000 * (TIMES_S > 5),  # goes back
        (4_294_000 + 300 * TIMES_S) % 4_294_967.296,  # 32 bits of mJ, which wrap
        1000 + 300 * TIMES_S + 1e15 * (TIMES_S > 5),  # jumps
    ],
)
def test_a_counter_that_tells_nonsense_leaves_the_energy_to_the_power_read(counter_j):
    found = samples.energy(
        sampled(TIMES_S, energy_counter_j=counter_j, power_w=np.full(len(TIMES_S), 250.0)), 2 * S, 12 * S, images=10
    )
    assert (found["energy_j"], found["energy_source"]) == (pytest.approx(2500), "integrated_power")
    found = samples.energy(sampled(TIMES_S, energy_counter_j=counter_j), 2 * S, 12 * S, images=10)
    assert (found["energy_j"], found["energy_reason"]) == (
        *(None, "neither a counter nor a power was read: Not Supported"),
    )


def test_the_window_is_from_the_first_block_to_the_last_and_its_images_are_those_of_all_blocks():
    blocks = [{"t0_ns": 2 * S, "t1_ns": 6 * S, "steps": 10}, {"t0_ns": 7 * S, "t1_ns": 12 * S, "steps": 20}]
    found = samples.observed(with_energy(300, 200), S, 42, {"blocks": blocks}, 32)
    assert (found["energy_window_s"], found["images_per_j"]) == (10, pytest.approx(30 * 32 / 3000))
    assert found["flags"] == ["energy_sources_differ"]


def lines(tmp_path, *written: object, cut: str = ""):
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in written) + cut, encoding="utf-8")
    return samples.read_lines(path)


HEADER = {"uuid": "GPU-0", "hz": 10, "sources": {"power_w": "nvmlDeviceGetPowerUsage"}, "dropped": {"other": "no"}}


def test_lines_become_columns_and_what_failed_is_no_number(tmp_path):
    listed = {"t_ns": 2, "processes": [[42, 900.0], [7, None]]}
    seen = lines(tmp_path, HEADER, [1, 70.0], [2, None], listed, {"ended": None})
    assert seen.ended is None
    np.testing.assert_array_equal(seen.t_ns, [1, 2])
    np.testing.assert_array_equal(seen.columns["power_w"], [70, np.nan])
    np.testing.assert_array_equal(seen.processes, [[2, 42, 900], [2, 7, np.nan]])


def test_a_killed_samplers_lines_are_kept_except_the_cut_one(tmp_path):
    seen = lines(tmp_path, HEADER, [1, 70.0], [2, 71.0], cut="[3, 7")
    assert seen.ended == NO_END
    np.testing.assert_array_equal(seen.columns["power_w"], [70, 71])


def test_a_sampler_that_never_began_leaves_only_the_reason(tmp_path):
    assert samples.read_lines(tmp_path / "none").ended == NO_END
    seen = lines(tmp_path, {"ended": "no driver"})
    assert (seen.ended, len(seen.t_ns), seen.columns) == ("no driver", 0, {})


def test_samples_come_back_from_their_file_as_they_were(tmp_path):
    written = lines(tmp_path, HEADER, [1, 70.0], [2, None], {"t_ns": 2, "processes": [[42, None]]}, {"ended": "lost"})
    path = tmp_path / "samples" / "round-1.npz"
    samples.save(path, written)
    read = samples.load(path)
    for name, value in vars(written).items():
        np.testing.assert_equal(getattr(read, name), value)
    assert [file.name for file in path.parent.iterdir()] == ["round-1.npz"]
