"""The tables of a made-up campaign: computed by the real commands from made-up records."""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd

from framebench.analyse import given
from framebench.analyse.comparisons import comparisons
from framebench.analyse.effects import effects
from framebench.analyse.limits import limits
from framebench.analyse.literature import literature
from framebench.analyse.order import order
from framebench.analyse.overhead import overhead
from framebench.analyse.payback import payback
from framebench.analyse.table import table
from framebench.analyse.warmup import warmup
from framebench.analyse.why import why
from framebench.plan import catalogue
from framebench.record import record
from runs import WITHIN

Block = tuple[str, str, int]  # workload, input, batch size

QUESTION = ("pytorch", "keras-tensorflow")
THREE = ("tensorflow", "keras-tensorflow", "pytorch")
OF_ARTICLE: list[Block] = [("article-cnn", "device", 32), ("article-cnn", "device", 128), ("article-cnn", "host", 128)]
TUNINGS = {
    "tensorflow": {"allocator": "tbbmalloc", "steps_per_call": 10, "jit_compile": False},
    "keras-tensorflow": {"allocator": "system", "steps_per_execution": 1, "jit_compile": "auto"},
    "pytorch": {"allocator": "tbbmalloc", "channels_last": True, "compile": False},
}
GAINS = {"tensorflow": 1.15, "pytorch": 1.9}
SLOWER = {"vgg-cnn": 0.2, "host": 0.9, "bfloat16": 0.5}
BUSY = {"tensorflow": 0.9, "keras-tensorflow": 0.7, "pytorch": 0.99}  # shares of a step
FIRST_CALL_S = {"tensorflow": 0.45, "keras-tensorflow": 0.6}
CONFIDENCE = 0.95
DIAGNOSED_ROUNDS = 1  # as config.yaml has it
# Speeds that nobody published, of a card that `gpus` may name.
PUBLISHED = pd.DataFrame(
    [
        {
            **{"gpu": "Tesla P100", "problem": "article-cnn", "framework": framework, "year": 2018},
            **{"precision": "float32", "batch_size": 64, "images_per_s": speed},
            **{"source": "a source", "differs": "this and that"},
        }
        for framework, speed in {"tensorflow": 800.0, "pytorch": 6000.0, "CNTK": 5000.0}.items()
    ]
)


@dataclass(frozen=True)
class Tables:
    """A campaign's tables, each computed on request."""

    measurements: pd.DataFrame
    records: list[dict]
    uncertified: Mapping[tuple[str, str, str, str], str]

    def by_name(self) -> dict[str, pd.DataFrame]:
        """Every table by its name."""
        names = [name for name, one in vars(Tables).items() if isinstance(one, cached_property)]
        return {name: getattr(self, name) for name in ["measurements", *names]}

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        return comparisons(self.measurements, CONFIDENCE, WITHIN, self.uncertified, question=QUESTION)

    @cached_property
    def effects(self) -> pd.DataFrame:
        return effects(self.measurements, CONFIDENCE)

    @cached_property
    def payback(self) -> pd.DataFrame:
        return payback(self.measurements, CONFIDENCE)

    @cached_property
    def overhead(self) -> pd.DataFrame:
        return overhead(self.measurements, CONFIDENCE)

    @cached_property
    def why(self) -> pd.DataFrame:
        return why(self.measurements, CONFIDENCE)

    @cached_property
    def warmup(self) -> pd.DataFrame:
        return warmup(self.records)

    @cached_property
    def order(self) -> pd.DataFrame:
        return order(self.measurements)

    @cached_property
    def limits(self) -> pd.DataFrame:
        return limits(self.measurements, pd.read_csv(catalogue.ROOT / given.resource("gpu_peaks")))

    @cached_property
    def literature(self) -> pd.DataFrame:
        return literature(self.measurements, PUBLISHED, CONFIDENCE)


def campaign(
    *,
    frameworks: Sequence[str] = THREE,
    blocks: Sequence[Block] = OF_ARTICLE,
    tracks: Sequence[str] = ("default",),
    precisions: Sequence[str] = ("float32",),
    rounds: int = 5,
    noise: float = 0.0,
    failed: Collection[tuple[str, str, int]] = (),
    uncertified: Collection[str] = (),
    busy_rounds: Collection[int] = (),
    device_name: str = "A CPU",
    gpus: Mapping[str, str] | None = None,
) -> Tables:
    """Speeds of article-cnn by default: 1000, 2000, … images/s in the order of `frameworks`, 1 % more each round.

    `noise`: standard deviation of the logarithms of the speeds. `failed`: (framework, workload, batch size) of
    cells that ran out of memory. `uncertified`: frameworks without a certificate. In `busy_rounds` the machine
    was busy. `gpus`: names of devices and their models, instead of the CPU `device_name`, each twice as fast as the one
    before and the first as the CPU.
    """
    devices = gpus or {"cpu": device_name}
    random = np.random.default_rng(20180629)
    records: list[dict] = []
    for round_ in range(1, rounds + 1):
        cells = list(product(enumerate(frameworks, start=1), blocks, tracks, precisions, enumerate(devices)))
        for place, drawn in enumerate(random.permutation(len(cells))):
            (i, framework), (workload, input, batch_size), track, precision, (number, device) = cells[drawn]
            run = {
                "device": device,
                "device_uuid": f"GPU-{number}" if gpus else None,
                "workload": workload,
                "framework": framework,
                "track": track,
                "precision": precision,
                "input": input,
                "batch_size": batch_size,
                "round": round_,
                "order": len(records) + 1,
                "seed": 1,
                "device_name": devices[device],
                "threads": 2,
                "framework_version": f"{i}.0",
                "started_unix_s": 1_700_000_000 + 3600 * round_ + 12 * place,
                "flags": ["busy_machine"] if round_ in busy_rounds else [],
            }
            if (framework, workload, batch_size) in failed:
                run |= {"status": "out_of_memory", "reason": "std::bad_alloc"}
            else:
                speed = 1000 * i * (1 + 0.01 * round_) * SLOWER.get(workload, 1) * SLOWER.get(input, 1)
                speed *= SLOWER.get(precision, 1) * 2**number
                speed *= math.exp(noise * random.standard_normal())
                run |= _measured(run, speed * (GAINS.get(framework, 1) if track == "tuned" else 1))
            records.append(record(**run))
    missing = {
        (device, workload, framework, track): "none was made"
        for device in devices
        for workload, _, _ in blocks
        for framework in uncertified
        for track in ("default", "tuned")
    }
    return Tables(table(records), records, missing)


def _measured(run: dict, images_per_s: float) -> dict:
    tuning = TUNINGS.get(run["framework"], {}) if run["track"] == "tuned" else {}
    first_s = FIRST_CALL_S.get(run["framework"], 0.06)
    first_call, *groups = _warmup(first_s, run["batch_size"] / images_per_s)
    of_gpu = {
        "gpu_context_mib": 480,
        "allocator_peak_mib": 2.5 * run["batch_size"],
        "allocator_reserved_peak_mib": None if run["framework"] == "tensorflow" else 3.2 * run["batch_size"],
        "gpu_peak_delta_mib": 600 + 3.2 * run["batch_size"],
        "images_per_j": images_per_s / 300,
    }
    step_ms = 1e3 * run["batch_size"] / images_per_s
    busy_ms = step_ms * BUSY.get(run["framework"], 0)
    first: dict = {}
    if run["round"] <= DIAGNOSED_ROUNDS:
        profile = {"profiled_steps": 5, "profiled_step_ms": step_ms, "device_busy_ms": busy_ms}
        first = profile if busy_ms else {"profile_reason": "ValueError: it does not tell"}
        first |= {"step_synced_p50_ms": 1.25 * step_ms, "step_synced_p95_ms": 1.5 * step_ms}
        first |= {"ceiling_gflops": 100.0 if run["framework"] == "pytorch" else 90.0, "ceiling_copy_gb_per_s": 12.0}
    if run["round"] == 1:  # in the others, all processes of a block are started at once
        first |= {"import_s": 1.6, "build_s": 0.1, "data_s": 0.05}
    return (
        (of_gpu if run["device_uuid"] else {})
        | first
        | {
            "status": "ok",
            "images_per_s": images_per_s,
            "achieved_gflops": 0.01 * images_per_s,
            "time_to_first_step_s": first_s,
            "warmup_converged": run["round"] != 2,
            "warmup_intervals": [first_call, *groups],
            "steps_per_call": first_call["steps"],
            "warmup_s": sum(group["t1_ns"] - group["t0_ns"] for group in groups) / 1e9,
            "warmup_steps": sum(group["steps"] for group in groups),
            "step_ms": step_ms,
            "host_rss_import_mib": 500,
            "host_rss_built_mib": 600,
            "host_rss_training_peak_mib": 900,
            "minor_faults_per_step": 3 if tuning.get("allocator") == "tbbmalloc" else 5400,
            "tuning": json.dumps(tuning) if tuning else None,
        }
    )


def _warmup(first_s: float, step_s: float) -> Iterator[dict]:
    """The first call, then 12 groups of 0.1 s in which the steps settle from 2.5 times their final time."""
    start_s = 0.0
    for place in range(13):
        settling_s = step_s * (1 + 1.5 * 0.6**place)
        steps = max(1, math.ceil(0.1 / settling_s)) if place else 1
        end_s = start_s + (settling_s * steps if place else first_s)
        yield {"t0_ns": round(1e9 * start_s), "t1_ns": round(1e9 * end_s), "steps": steps}
        start_s = end_s
