"""Ceilings of a device, for work of known speed."""

import time

import pytest

from framebench.measure import ceiling

pytestmark = pytest.mark.check


class Device:
    """Multiplies at a given speed, and copies at another, by its own clock."""

    def __init__(self, gflops: float, gb_per_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gflops, self.gb_per_s, self.now_s = gflops, gb_per_s, 0.0
        self.made: list[int] = []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now_s)

    def product(self, size: int):
        self.made.append(size)
        return lambda times: self.pass_time(times * 2 * size**3 / (1e9 * self.gflops))

    def copy(self, mib: int):
        return lambda times: self.pass_time(times * 2 * mib * 2**20 / (1e9 * self.gb_per_s))

    def pass_time(self, s: float) -> None:
        self.now_s += s


def never(error: BaseException) -> bool:
    return False


@pytest.mark.parametrize("gflops", [1, 100, 60_000])
@pytest.mark.parametrize("gb_per_s", [5, 4800])
def test_the_speeds_of_products_and_copies_are_found(gflops, gb_per_s, monkeypatch):
    found = ceiling.measured(Device(gflops, gb_per_s, monkeypatch), never)
    assert found["ceiling_gflops"] == pytest.approx(gflops)
    assert found["ceiling_copy_gb_per_s"] == pytest.approx(gb_per_s)


@pytest.mark.parametrize(("gflops", "size"), [(1, 512), (50, 1024), (60_000, 8192), (10**6, 8192)])
def test_matrices_are_as_large_as_it_takes_for_one_product_to_last(gflops, size, monkeypatch):
    device = Device(gflops, 1, monkeypatch)
    assert ceiling.measured(device, never)["ceiling_matrix_size"] == size == device.made[-1]


def test_where_memory_does_not_suffice_there_is_no_ceiling_and_the_run_goes_on(monkeypatch):
    device = Device(100, 1, monkeypatch)
    monkeypatch.setattr(device, "copy", [].index)
    assert ceiling.measured(device, lambda error: isinstance(error, ValueError)) == {}
    with pytest.raises(ValueError, match="not in list"):
        ceiling.measured(device, never)


def test_a_work_that_is_slow_the_first_time_is_timed_without_it(monkeypatch):
    device = Device(1, 1, monkeypatch)
    waits = iter([100.0])
    assert ceiling.rate(lambda times: device.pass_time(next(waits, 0.2 * times)), 1) == pytest.approx(5)
