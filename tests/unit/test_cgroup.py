"""The limits of a container or a job on CPU time and memory, as the kernel's files tell them in either version."""

import os

import pytest

from framebench.measure.devices import cgroup, cpu

pytestmark = pytest.mark.check

MIB = 1024**2
# The files of a group of version 1 without limits.
FREE = {
    "cpu/cpu.cfs_quota_us": "-1",
    "cpu/cpu.cfs_period_us": "100000",
    "memory/memory.limit_in_bytes": str(2**63 - 4096),
}
POD = {"cpu,cpuacct/cpu.cfs_quota_us": "150000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}


@pytest.fixture
def limits(tmp_path):
    """Writes the files of control groups, and returns the arguments of the functions under test."""

    def written(own: str, files: dict[str, str]):
        (tmp_path / "own").write_text(own, encoding="utf-8")
        for name, content in files.items():
            file = tmp_path / "mount" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{content}\n", encoding="utf-8")
        return tmp_path / "mount", tmp_path / "own"

    return written


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        # docker --cpus 0.5, seen from inside (moby/moby#38839)
        ("0::/", {"cpu.max": "50000 100000"}, 0.5),
        ("0::/", {"cpu.max": "max 100000"}, None),
        # a Kubernetes limit of 1500m in version 1, where the container has no view of its own
        ("4:cpu,cpuacct:/kubepods/pod1/c", POD, 1.5),
        ("2:cpu:/", FREE, None),
        # CentOS 7 names the controllers in another order than their folder, to which a link leads
        # (rancher/rke2#689, moby/moby#9365)
        ("6:cpuacct,cpu:/c", {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}, 1.5),
        # a slice of systemd above the session, CPUQuota=150%
        ("0::/user.slice/user-1.slice/s", {"user.slice/user-1.slice/cpu.max": "150000 100000"}, 1.5),
        # the tightest of several
        ("0::/a/b", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "20000 10000"}, 2.0),
        # both versions mounted
        ("2:cpu:/x\n0::/", {"cpu/x/cpu.cfs_quota_us": "300000", "cpu/x/cpu.cfs_period_us": "100000"}, 3.0),
        ("0::/", {"cpu.max": "nonsense"}, None),
        ("0::/", {"cpu.max": "100000 0"}, None),
        ("", {}, None),
        ("0::/../../elsewhere", {}, None),
    ],
)  # fmt: skip
def test_a_quota_is_told_in_cores(limits, own, files, cores):
    assert cgroup.quota_cores(*limits(own, files)) == cores


@pytest.mark.parametrize(
    ("own", "files", "limit_mib", "free_mib"),
    [
        ("0::/", {"memory.max": str(512 * MIB), "memory.current": str(200 * MIB)}, 512, 312),
        ("0::/", {"memory.max": "max", "memory.current": "1"}, None, None),
        # Pages of files that were read once are given back first.
        (
            "0::/",
            {
                "memory.max": str(512 * MIB),
                "memory.current": str(500 * MIB),
                "memory.stat": f"anon 1\ninactive_file {300 * MIB}",
            },
            512,
            312,
        ),
        # Above `high` it does not end, but crawls.
        ("0::/", {"memory.max": "max", "memory.high": str(256 * MIB), "memory.current": "0"}, 256, 256),
        ("4:memory:/", FREE, None, None),
        (
            "4:memory:/docker/x",
            {
                "memory/memory.limit_in_bytes": str(512 * MIB),
                "memory/memory.usage_in_bytes": str(500 * MIB),
                "memory/memory.stat": f"total_inactive_file {300 * MIB}",
            },
            512,
            312,
        ),
        # a job of Slurm below a node's limit: the group with the least free memory counts
        (
            "0::/job/step",
            {
                "job/memory.max": str(1000 * MIB),
                "job/memory.current": str(990 * MIB),
                "job/step/memory.max": str(400 * MIB),
                "job/step/memory.current": str(100 * MIB),
            },
            400,
            10,
        ),
        ("", {}, None, None),
    ],
)
def test_a_limit_of_memory_is_told_with_what_is_left_of_it(limits, own, files, limit_mib, free_mib):
    where = limits(own, files)
    limit, free = cgroup.memory_limit_bytes(*where), cgroup.memory_free_bytes(*where)
    assert (limit and limit / MIB, free and free / MIB) == (limit_mib, free_mib)


@pytest.mark.parametrize(
    ("own", "files", "seconds"),
    [
        ("0::/", {"cpu.stat": "usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000"}, 2.5),
        ("2:cpu:/", {"cpu/cpu.stat": "nr_throttled 3\nthrottled_time 2500000000"}, 2.5),
        ("0::/", {"cpu.stat": "usage_usec 9"}, None),
        ("", {}, None),
    ],
)
def test_the_time_without_a_core_is_told_in_seconds(limits, own, files, seconds):
    assert cgroup.throttled_s(*limits(own, files)) == seconds


@pytest.mark.parametrize(("quota", "cores"), [(None, None), (0.5, 1), (1.0, 1), (1.9, 1), (1e6, None)])
def test_a_quota_counts_as_its_whole_cores_and_never_as_none(monkeypatch, quota, cores):
    """uxlfoundation/oneTBB#190, PixelgenTechnologies/pixelator#441: threads for cores that are not there."""
    monkeypatch.setattr(cgroup, "quota_cores", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cpu.usable_cores() == (cores or 8)
    assert cpu.machine()["cpu_quota_cores"] == quota


def test_the_memory_of_a_container_is_that_of_the_machine(monkeypatch):
    monkeypatch.setattr(cgroup, "memory_limit_bytes", lambda: 512 * MIB)
    monkeypatch.setattr(cgroup, "memory_free_bytes", lambda: 10 * MIB)
    assert cpu.machine()["memory_total_mib"] == cpu.memory_total_mib() == 512
    assert cpu.available_mib() == 10
