"""The limits that a container, Kubernetes, systemd or Slurm sets on this process: control groups, cgroups(7).

A process is in one group of the unified hierarchy (version 2), or in one for each controller (version 1). The limits of
the groups above it count too, as far as they can be seen: a container sees its own at the top.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
# Version 1 has a number near the largest one for no limit, rounded down to pages.
NO_LIMIT_BYTES = 2**62


def quota_cores(mount: Path = MOUNT, own: Path = OWN) -> float | None:
    """The CPU time that this process may have, in cores; None without a quota.

    `cpu.max` of version 2 has quota and period, with the quota `max` for none; version 1 has a file for each, and −1.
    """
    found = []
    for group in _groups("cpu", mount, own):
        told = _read(group / "cpu.max") or " ".join(_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota := re.fullmatch(r"(\d+) ([1-9]\d*)", told):
            found.append(int(quota[1]) / int(quota[2]))
    return min(found, default=None)


def throttled_s(mount: Path = MOUNT, own: Path = OWN) -> float | None:
    """Seconds until now for which quotas held back this process's groups; None where no group tells them."""
    found = []
    for group in _groups("cpu", mount, own):
        for name, unit in (("throttled_usec", 1e-6), ("throttled_time", 1e-9)):
            if told := re.search(rf"^{name} (\d+)$", _read(group / "cpu.stat"), re.MULTILINE):
                found.append(int(told[1]) * unit)
    return max(found, default=None)


def memory_limit_bytes(mount: Path = MOUNT, own: Path = OWN) -> int | None:
    """The memory that this process's groups may have; None without a limit."""
    limits = [_memory_limit(group) for group in _groups("memory", mount, own)]
    return min((limit for limit in limits if limit is not None), default=None)


def memory_free_bytes(mount: Path = MOUNT, own: Path = OWN) -> int | None:
    """The memory that this process's groups may still take; None without a limit.

    Pages of files that were not used lately are free, as the kernel drops them first.
    """
    free = []
    for group in _groups("memory", mount, own):
        limit = _memory_limit(group)
        used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes")
        if limit is not None and used.isdigit():
            cached = re.search(r"^(?:total_)?inactive_file (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
            free.append(limit - int(used) + (int(cached[1]) if cached else 0))
    return min(free, default=None)


def _memory_limit(group: Path) -> int | None:
    """The limit of one group. Above `memory.high`, its processes are slowed down until they have less."""
    told = [_read(group / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
    limits = [int(one) for one in told if one.isdigit()]
    return min((limit for limit in limits if limit < NO_LIMIT_BYTES), default=None)


def _groups(controller: str, mount: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's groups for a controller, from its own up."""
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", maxsplit=2)
        if controller in controllers.split(",") or not controllers:
            # Version 2 has no controllers in its line; version 1 has a folder for each set of them, which may name them
            # in another order, and a link or folder for each of them.
            folders = dict.fromkeys([controllers, controller]) if controllers else [""]
            group = Path(path.lstrip("/"))
            yield from (mount / folder / one for folder in folders for one in (group, *group.parents))


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(encoding="utf-8").strip()
    return ""
