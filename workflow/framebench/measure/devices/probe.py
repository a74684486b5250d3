"""Capabilities of a GPU and its driver through NVML: `python -P -m framebench.measure.devices.probe --help`.

Reports for every call of the sampler: support, cost, and how often its value changes. Run it while something computes
on the card, since the values of an idle one rarely change.
"""

import argparse
import json
import sys
import time
from itertools import pairwise
from statistics import median, quantiles
from typing import Any

from framebench.measure.devices import nvml
from framebench.measure.devices.sampler import PROCESSES, QUERIES, Query, ask


def probe(uuid: str, seconds: float) -> dict[str, Any]:
    """The card's properties, and the outcome of each call repeated for so many seconds; times in ms.

    Raises nvml.NvmlError where there is no such card, or no driver.
    """
    with nvml.session():
        card = nvml.card(uuid)
        handle = nvml.handle(uuid)
        calls = {query.name: call(query, handle, seconds) for query in (*QUERIES, PROCESSES)}
    return {"card": vars(card), "seconds": seconds, "calls": calls}


def call(query: Query, card: Any, seconds: float) -> dict[str, Any]:
    """One call repeated: its count, its cost, and the median time between two changes; or the reason for no answer."""
    costs_ms: list[float] = []
    changes_s: list[float] = []
    end = time.perf_counter() + seconds
    before = None
    while (start := time.perf_counter()) < end or not costs_ms:
        found = ask(query, card)
        if isinstance(found, str):
            return {"answered": False, "reason": found}
        now = time.perf_counter()
        costs_ms.append(1e3 * (now - start))
        if before not in (None, found):
            changes_s.append(now)
        before = found
    apart_ms = [1e3 * (later - earlier) for earlier, later in pairwise(changes_s)]
    return {
        "answered": True,
        "tells": list(query.columns),
        "example": before,
        "calls": len(costs_ms),
        "cost_p50_ms": median(costs_ms),
        "cost_p99_ms": quantiles(costs_ms, n=100, method="inclusive")[-1] if len(costs_ms) > 1 else costs_ms[0],
        "changes": len(changes_s),
        "change_every_ms": median(apart_ms) if apart_ms else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m framebench.measure.devices.probe", description=__doc__.partition(":")[0]
    )
    parser.add_argument("--uuid", required=True, help="the GPU, as `nvidia-smi -L` prints it")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each call (default: %(default)g)")
    options = parser.parse_args()
    try:
        json.dump(probe(options.uuid, options.seconds), sys.stdout, indent=1)
    except nvml.NvmlError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
