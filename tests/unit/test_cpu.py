"""Load of other processes on the CPU, from the kernel's counters; missing counters give no number."""

import mmap
import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebench.measure.devices import cpu
from framebench.measure.devices.cpu import Usage

pytestmark = pytest.mark.check

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
QUIET = Usage(wall_s=100.0, busy_s=40.0, stolen_s=2.0, total_s=200.0, own_s=3.0)
# Burns 0.2 s of CPU time, however long that takes.
BURN = "import time\nwhile time.process_time() < 0.2: pass"


def later(wall_s: float, busy_s: float, stolen_s: float, own_s: float) -> Usage:
    """Two cores, so many seconds after QUIET."""
    return Usage(
        wall_s=QUIET.wall_s + wall_s,
        busy_s=QUIET.busy_s + busy_s,
        stolen_s=QUIET.stolen_s + stolen_s,
        total_s=QUIET.total_s + 2 * wall_s,
        own_s=QUIET.own_s + own_s,
    )


def test_time_of_interrupts_is_busy_and_waiting_stolen_and_guest_time_is_not(tmp_path):
    stat = tmp_path / "stat"
    # user nice system idle iowait irq softirq steal guest guest_nice; the guests' time is in user and nice already.
    stat.write_text("cpu  100 20 30 4000 500 6 7 80 90 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n", encoding="utf-8")
    seen = cpu.usage(stat)
    assert seen
    assert seen.busy_s == pytest.approx(163 * TICK_S)
    assert seen.stolen_s == pytest.approx(80 * TICK_S)
    assert seen.total_s == pytest.approx(4743 * TICK_S)


@pytest.mark.parametrize("content", [None, "", "cpu  1 2 3 4\n", "cpu a b c d e f g h\n"])
def test_a_system_that_does_not_show_its_cpu_time_is_no_error(tmp_path, content):
    stat = tmp_path / "stat"
    if content is not None:
        stat.write_text(content, encoding="utf-8")
    assert cpu.usage(stat) is None
    assert cpu.others(None, QUIET) == cpu.others(QUIET, None) == {}


def test_a_sandbox_in_which_no_time_passes_shows_nothing(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu  0 0 0 0 0 0 0 0 0 0\n", encoding="utf-8")
    assert cpu.others(cpu.usage(stat), cpu.usage(stat)) == {}


def test_others_are_what_is_busy_without_us_and_the_stolen_share_is_of_all_cores():
    # 10 s on two cores: 12 s busy, 5 of them ours, 4 of 20 stolen.
    seen = cpu.others(QUIET, later(wall_s=10, busy_s=12, stolen_s=4, own_s=5))
    assert seen == {"others_cpu_cores": pytest.approx(0.7), "steal_share": pytest.approx(0.2)}


@given(busy_s=st.floats(0, 20), own_s=st.floats(0, 20))
def test_cores_of_others_are_never_fewer_than_none(busy_s, own_s):
    """The kernel counts in ticks, so that we may seem to use more than all do."""
    seen = cpu.others(QUIET, later(wall_s=10, busy_s=busy_s, stolen_s=0, own_s=own_s))
    assert 0 <= seen["others_cpu_cores"] <= 2


def test_cpu_time_of_a_child_that_has_ended_is_our_own():
    before = cpu.usage()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    after = cpu.usage()
    if before is None or after is None:
        pytest.skip("this system does not show its CPU time")
    assert after.own_s - before.own_s >= 0.2


@pytest.mark.parametrize(
    ("readings", "busy"),
    [
        ((None, None), False),
        ((0.0, 0.02), False),
        ((cpu.BUSY_CORES, cpu.BUSY_CORES), False),
        ((cpu.BUSY_CORES + 0.01, 0.0), True),
        ((0.0, 1.0), True),
        ((None, 1.0), True),
    ],
)
def test_a_machine_is_busy_where_one_reading_is_above_the_limit(readings, busy):
    assert cpu.is_busy(*readings) is busy


def test_the_frequency_is_the_mean_of_the_cores_that_may_be_used(tmp_path):
    cores = sorted(os.sched_getaffinity(0))
    for core in [*cores, max(cores) + 1]:
        file = tmp_path / f"cpu{core}/cpufreq/scaling_cur_freq"
        file.parent.mkdir(parents=True)
        file.write_text("2000000\n" if core <= max(cores) else "9000000\n", encoding="utf-8")
    (tmp_path / f"cpu{cores[0]}/cpufreq/scaling_cur_freq").write_text("3000000\n", encoding="utf-8")
    assert cpu.mhz(tmp_path) == pytest.approx(2000 + 1000 / len(cores))


@pytest.mark.parametrize("content", [None, "<unknown>\n", ""])
def test_a_frequency_that_is_not_shown_is_no_number(tmp_path, content):
    if content is not None:
        for core in os.sched_getaffinity(0):
            file = tmp_path / f"cpu{core}/cpufreq/scaling_cur_freq"
            file.parent.mkdir(parents=True)
            file.write_text(content, encoding="utf-8")
    assert cpu.mhz(tmp_path) is None


def test_a_process_that_is_started_pinned_stays_so_and_we_do_not():
    before = os.sched_getaffinity(0)
    core = max(before)
    with cpu.pinned([core]):
        child = subprocess.Popen(
            [sys.executable, "-c", "import os\ninput()\nprint(os.sched_getaffinity(0))"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
    assert os.sched_getaffinity(0) == before
    assert child.communicate("\n")[0] == f"{{{core}}}\n"
    with cpu.pinned(None):
        assert os.sched_getaffinity(0) == before


def test_page_faults_are_counted_between_two_readings_of_the_clock():
    pages = 500
    clock = cpu.UsageClock()
    with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        start = clock()
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
        end = clock()
    assert end > start
    assert clock.minor_faults(start, end) >= pages
    assert clock.minor_faults(start, start) == 0


def test_cpu_time_is_counted_between_two_readings_of_the_clock():
    before_s = time.process_time()
    clock = cpu.UsageClock()
    start = clock()
    while clock.cpu_s(start, clock()) < 0.2:
        pass
    end = clock()
    assert 0.2 <= clock.cpu_s(start, end) <= time.process_time() - before_s
    assert clock.cpu_s(start, start) == 0
