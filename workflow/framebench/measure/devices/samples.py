"""The samples of one GPU during a run: their file, and the memory, energy and state derived from them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from framebench import files
from framebench.measure.devices.sampler import PROCESSES, PROCESSES_EVERY_S, QUERIES

# The counter moves about every 100 ms, so two readings err by 0.9 % (rms) over 5 s, and by 4 % over one.
MIN_ENERGY_S = 5.0
DIFFER = 0.1  # relative difference of counted and integrated energy above which a run is flagged
# Power comes from the first of these that the card answers. nvmlDeviceGetPowerUsage is a mean over the last second on
# some cards, as nvml.h says.
POWERS = ("power_instant_w", "power_w", "power_average_w")
MOST_W = 10_000.0  # no card draws more
# Column → the least and the most that a card can have. Beyond these are the 0, or the 1 in every bit, with which some
# answer a query that they have no answer to (virtual GPUs); 2^32 holds every throttle reason.
POSSIBLE = {
    **dict.fromkeys(POWERS, (0.001, MOST_W)),
    **dict.fromkeys(("sm_mhz", "memory_mhz"), (1, 100_000)),
    **dict.fromkeys(("utilisation_percent", "memory_utilisation_percent"), (0, 100)),
    **dict.fromkeys(("memory_used_mib", "memory_reserved_mib"), (0, 10**9)),
    "temperature_c": (1, 200),
    "throttle_reasons_bits": (0, 2**32 - 2),
}
# Bits of nvmlClocksEventReason* in nvml.h.
THROTTLE_REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
# Reasons for which a card runs below its design clocks; a power cap is usual under full load.
THROTTLED = 0x8 | 0x20 | 0x40 | 0x80
# Record field on the GPU → the column behind it.
OF_COLUMN = {
    "gpu_baseline_mib": "memory_used_mib",
    "gpu_started_mib": "memory_used_mib",
    "gpu_context_mib": "memory_used_mib",
    "gpu_peak_delta_mib": "memory_used_mib",
    "power_mean_w": "power_w",
    "sm_mhz": "sm_mhz",
    "memory_mhz": "memory_mhz",
    "gpu_utilisation_percent": "utilisation_percent",
    "temperature_max_c": "temperature_c",
    "throttle_reasons": "throttle_reasons_bits",
}
OTHER_IDS = "the driver lists the process under another id, and more than one came with the run or stayed after it"
LESS = "less memory was in use than before the run, so that another process gave some back meanwhile"
NO_END = "the sampler was killed, or hung"  # reason where the sampler gave none


@dataclass(frozen=True)
class Samples:
    """The samples of one card, timed on the clock of the run's blocks."""

    uuid: str | None
    hz: float | None  # requested samples per second
    sources: dict[str, str]  # column → call of NVML that filled it
    dropped: dict[str, str]  # call of NVML → reason why this card does not answer it
    ended: str | None  # reason why sampling ended by itself; None where it was stopped
    t_ns: np.ndarray  # int64 (n,)
    columns: dict[str, np.ndarray]  # name with unit → float64 (n,), NaN where a call failed
    processes: np.ndarray  # float64 (m, 3): time in ns, process id, MiB used or NaN where not known

    def column(self, name: str) -> np.ndarray:
        """Column of float64 (n,); NaN where the card does not report it, or nothing that is possible."""
        values = self.columns.get(name, np.full(len(self.t_ns), np.nan))
        least, most = POSSIBLE.get(name, (-np.inf, np.inf))
        return np.where((values >= least) & (values <= most), values, np.nan)

    def between(self, t0_ns: float, t1_ns: float, name: str) -> np.ndarray:
        """The known values of a column from t0_ns to t1_ns, float64 (k,)."""
        values = self.column(name)[(self.t_ns >= t0_ns) & (self.t_ns <= t1_ns)]
        return values[~np.isnan(values)]

    @property
    def power(self) -> str | None:
        """The column used for power; None where the card reports none that is possible."""
        return next((name for name in POWERS if not np.isnan(self.column(name)).all()), None)

    @property
    def power_w(self) -> np.ndarray:
        """Power, float64 (n,); NaN where the card reports none that is possible."""
        return self.column(self.power or "")


def read_lines(path: Path) -> Samples:
    """The sampler's output until it ended; the last line may be cut off."""
    lines: list[Any] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    said = {key: value for line in lines if isinstance(line, dict) for key, value in line.items()}
    rows = [line for line in lines if isinstance(line, list)]
    sources = said.get("sources", {})
    values = np.array([row[1:] for row in rows], dtype=np.float64).reshape(len(rows), len(sources))
    listed = [(line["t_ns"], *process) for line in lines if "processes" in line for process in line["processes"]]
    return Samples(
        uuid=said.get("uuid"),
        hz=said.get("hz"),
        sources=sources,
        dropped=said.get("dropped", {}),
        ended=said.get("ended", NO_END),
        t_ns=np.array([row[0] for row in rows], dtype=np.int64),
        columns=dict(zip(sources, values.T, strict=True)),
        processes=np.array(listed, dtype=np.float64).reshape(-1, 3),
    )


def save(path: Path, samples: Samples) -> None:
    """Write the samples that are possible into one npz; OSError where that fails."""
    about = {name: getattr(samples, name) for name in ("uuid", "hz", "sources", "dropped", "ended")}
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about)), "t_ns": samples.t_ns}
    arrays |= {"processes": samples.processes, **{name: samples.column(name) for name in samples.columns}}
    with files.whole(path, "wb") as file:
        np.savez_compressed(file, **arrays)


def load(path: Path) -> Samples:
    """The samples in a file; OSError where there is none."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    about = json.loads(str(arrays.pop("about")))
    return Samples(**about, t_ns=arrays.pop("t_ns"), processes=arrays.pop("processes"), columns=arrays)


def observed(samples: Samples, started_ns: int, pid: int, seen: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """Record fields, `flags` and reasons of what is `unknown`; the process `pid` was started at started_ns.

    `seen` are fields from that process. Samples before the start are of the card without it; memory held after the end
    of training does not count. Without `blocks` there is no measured window.
    """
    used = "memory_used_mib"
    blocks, end_ns = seen.get("blocks", []), seen.get("training_end_ns", np.inf)
    baseline_mib = _middle(samples.between(0, started_ns, used))
    peak_mib = _largest(samples.between(started_ns, end_ns, used))
    above = {"gpu_context_mib": seen.get("gpu_started_mib"), "gpu_peak_delta_mib": peak_mib}
    of_process_mib, no_process = process_peak_mib(samples, started_ns, pid, end_ns, computed=bool(seen.get("build_s")))
    found: dict[str, Any] = {
        "sampler_hz": samples.hz,
        "gpu_memory_source": samples.sources.get(used),
        "gpu_baseline_mib": baseline_mib,
        **{name: _above(baseline_mib, value) for name, value in above.items()},
        "gpu_process_peak_mib": of_process_mib,
        "energy_reason": "no block was timed",
        "flags": [],
    }
    if blocks:
        t0_ns, t1_ns = blocks[0]["t0_ns"], blocks[-1]["t1_ns"]
        images = batch_size * sum(block["steps"] for block in blocks)
        found |= state(samples, t0_ns, t1_ns) | energy(samples, t0_ns, t1_ns, images)
        found["flags"] = [flag for flag, is_so in flags(samples, t0_ns, t1_ns).items() if is_so]
    missing = [
        name
        for name, value in {"gpu_started_mib": None, **seen, **found}.items()
        if name in OF_COLUMN and value is None
    ]
    found["unknown"] = {name: why_not(samples, OF_COLUMN[name]) for name in missing}
    if baseline_mib is not None:
        found["unknown"] |= {name: LESS for name, value in above.items() if value is not None and value < baseline_mib}
    if no_process:
        found["unknown"]["gpu_process_peak_mib"] = no_process
    return found


def process_peak_mib(
    samples: Samples, started_ns: int, pid: int, end_ns: float, computed: bool
) -> tuple[float | None, str]:
    """Peak memory, by the driver, of the process `pid` from started_ns to end_ns; or None, with the reason.

    `computed`: it has computed on the card, so that the driver lists it, under whatever id.
    """
    if reason := samples.dropped.get(PROCESSES.name):
        return None, reason
    own = ids(samples, started_ns, pid)
    if not own or (own != [pid] and not computed):
        return None, f"no process came with the run in the driver's list, which is read every {PROCESSES_EVERY_S} s"
    if len(own) > 1:
        return None, OTHER_IDS
    at, listed, used_mib = samples.processes.T
    peak_mib = _largest(used_mib[(listed == own[0]) & (at <= end_ns) & ~np.isnan(used_mib)])
    return peak_mib, "" if peak_mib is not None else "the driver does not tell the memory of a process"


def ids(samples: Samples, started_ns: int, pid: int) -> list[int]:
    """Ids under which the driver may list the process `pid`, started at started_ns.

    Where it never lists that id, as in a container, whose processes have other ids outside, they are those that it
    lists since then only.
    """
    at, listed, _ = samples.processes.T
    if (listed == pid).any():
        return [pid]
    return [int(one) for one in np.unique(listed) if at[listed == one].min() >= started_ns]


def why_not(samples: Samples, column: str) -> str:
    """The reason why a column has no value that counts."""
    read = samples.columns.get(column, np.array([]))
    if not np.isnan(read).all() and np.isnan(samples.column(column)).all():
        least, most = POSSIBLE[column]
        return f"the card answered {read[~np.isnan(read)][0]:g}, which is not from {least:g} to {most:g}"
    behind = [query.name for query in QUERIES if column in query.columns]
    dropped = [samples.dropped[name] for name in behind if name in samples.dropped]
    return (dropped or ["it was not read at that time"])[-1]


def state(samples: Samples, t0_ns: int, t1_ns: int) -> dict[str, Any]:
    """Record fields on the card's state from t0_ns to t1_ns."""
    bits = throttle_bits(samples, t0_ns, t1_ns)
    return {
        "sm_mhz": _middle(samples.between(t0_ns, t1_ns, "sm_mhz")),
        "memory_mhz": _middle(samples.between(t0_ns, t1_ns, "memory_mhz")),
        "gpu_utilisation_percent": _middle(samples.between(t0_ns, t1_ns, "utilisation_percent")),
        "temperature_max_c": _largest(samples.between(t0_ns, t1_ns, "temperature_c")),
        "throttle_reasons": None if bits is None else reasons(bits),
    }


def throttle_bits(samples: Samples, t0_ns: int, t1_ns: int) -> int | None:
    """Every throttle reason present at any sample between; None where there is no sample."""
    seen = samples.between(t0_ns, t1_ns, "throttle_reasons_bits")
    return int(np.bitwise_or.reduce(seen.astype(np.int64))) if len(seen) else None


def reasons(bits: int) -> str:
    """The names of the bits joined with ";", a bit without a name as 0x200; `none` where none is set."""
    held = [1 << place for place in range(bits.bit_length()) if bits >> place & 1]
    return ";".join(THROTTLE_REASONS.get(bit, hex(bit)) for bit in held) or "none"


def energy(samples: Samples, t0_ns: int, t1_ns: int, images: int) -> dict[str, Any]:
    """Record fields on the energy of `images` from t0_ns to t1_ns; a missing one has its reason in `energy_reason`."""
    window_s = (t1_ns - t0_ns) / 1e9
    counted, integrated = energies_j(samples, t0_ns, t1_ns)
    joules, source = (counted, "counter") if counted else (integrated, "integrated_power")
    reason = None
    if window_s < MIN_ENERGY_S:
        reason = f"the timed blocks span {window_s:.2f} s; energy needs {MIN_ENERGY_S:g} s"
    elif not joules:
        reason = f"neither a counter nor a power was read: {why_not(samples, 'power_w')}"
    return {
        "energy_window_s": window_s,
        "power_mean_w": integrated / window_s if integrated else None,
        "energy_j": None if reason else joules,
        "energy_source": None if reason else source,
        "images_per_j": images / joules if joules and not reason else None,
        "energy_reason": reason,
    }


def energies_j(samples: Samples, t0_ns: int, t1_ns: int) -> tuple[float | None, float | None]:
    """Energy used from t0_ns to t1_ns by the card's counter, and by its power."""
    counted = counted_j(samples.t_ns, samples.column("energy_counter_j"), t0_ns, t1_ns)
    return counted, integrated_j(samples.t_ns, samples.power_w, t0_ns, t1_ns)


def counted_j(t_ns: np.ndarray, counter_j: np.ndarray, t0_ns: int, t1_ns: int) -> float | None:
    """Rise of a counter from t0_ns to t1_ns, each interpolated between the readings around it.

    None where there are no readings around, or the counter went back, stood still or rose by more than MOST_W, as no
    card in use does.
    """
    known = ~np.isnan(counter_j)
    t_ns, counter_j = t_ns[known], counter_j[known]
    if not len(t_ns) or t_ns[0] > t0_ns or t_ns[-1] < t1_ns or (np.diff(counter_j) < 0).any():
        return None
    rise = float(np.interp(t1_ns, t_ns, counter_j) - np.interp(t0_ns, t_ns, counter_j))
    return rise if 0 < rise <= MOST_W * (t1_ns - t0_ns) / 1e9 else None


def integrated_j(t_ns: np.ndarray, power_w: np.ndarray, t0_ns: int, t1_ns: int) -> float | None:
    """Energy from t0_ns to t1_ns, with each power reading held until the next.

    None where there is no reading before t0_ns.
    """
    known = ~np.isnan(power_w)
    t_ns, power_w = t_ns[known], power_w[known]
    if not len(t_ns) or t_ns[0] > t0_ns:
        return None
    edges_ns = np.clip(np.append(t_ns, max(t1_ns, t_ns[-1])), t0_ns, t1_ns)
    return float(power_w @ np.diff(edges_ns)) / 1e9


def flags(samples: Samples, t0_ns: int, t1_ns: int) -> dict[str, bool]:
    """Flags on the card's state between t0_ns and t1_ns: flag → true where it applies."""
    counted, integrated = energies_j(samples, t0_ns, t1_ns)
    long_enough = (t1_ns - t0_ns) / 1e9 >= MIN_ENERGY_S
    differ = bool(counted and integrated and abs(counted - integrated) > DIFFER * counted)
    return {
        "throttled": bool((throttle_bits(samples, t0_ns, t1_ns) or 0) & THROTTLED),
        "energy_sources_differ": differ and long_enough,
    }


def _above(baseline: float | None, value: float | None) -> float | None:
    return None if baseline is None or value is None or value < baseline else value - baseline


def _middle(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None


def _largest(values: np.ndarray) -> float | None:
    return float(values.max()) if len(values) else None
