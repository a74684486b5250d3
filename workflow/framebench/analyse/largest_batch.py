"""Table of the searches for the largest batch: `python -m framebench.analyse.largest_batch`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from framebench.analyse.table import TableError, one_line
from framebench.analyse.tables import Table

SEARCH = ["device", "workload", "framework", "precision"]
COLUMNS = dict.fromkeys(SEARCH, "str") | {
    "status": "str",  # status of the search, like a run's: `out_of_memory` where not even one image trains
    "largest": "Int64",  # images; null unless the status is ok
    "bound": "str",  # `out_of_memory`: a batch 1/16 larger runs out of it; `at_most`: no larger one was tried
    "reason": "str",  # message of the smallest batch that does not train
    "trials": "Int64",
    "allocator_peak_mib": "float64",  # of the largest batch, as in measurements.csv; likewise the next
    "gpu_peak_delta_mib": "float64",
    "gpu_memory_total_mib": "float64",
    "host_memory_mib": "Int64",  # memory limit of a trial
    "device_name": "str",
    "device_uuid": "str",
    "driver_version": "str",
    "framework_version": "str",
    "threads": "Int64",
    "started_unix_s": "float64",
    "flags": "str",
}
NONE_SEARCHED = (
    "nothing is asked for: `largest_batch: {start: 1024, at_most: 32768, host_memory_mib: null}` in config.yaml has "
    "every GPU searched, and the CPU where host_memory_mib is the MiB that the training process may take there"
)


def read_search(path: Path) -> dict[str, Any]:
    """The result of a search. Raises TableError where the file is not one."""
    try:
        search = json.loads(path.read_text(encoding="utf-8"))
        if missing := sorted(set(COLUMNS) - {"allocator_peak_mib", "gpu_peak_delta_mib"} - set(search)):
            raise ValueError(f"it lacks {', '.join(missing)}")
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise TableError(f"{path}: {one_line(str(error), 300)}: delete it to have the batch searched again") from error
    return search


def largest_batch(searches: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One row of COLUMNS per search, in the order of SEARCH. Raises ValueError where none was requested."""
    if not searches:
        raise ValueError(NONE_SEARCHED)
    frame = pd.DataFrame([_row(search) for search in searches], columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(SEARCH, ignore_index=True)


def _row(search: dict[str, Any]) -> dict[str, Any]:
    of_largest: dict[str, Any] = next(
        (trial for trial in search["trials"] if trial["batch_size"] == search["largest"]), {}
    )
    memory = {name: of_largest.get(name) for name in ("allocator_peak_mib", "gpu_peak_delta_mib")}
    return search | memory | {"trials": len(search["trials"]), "flags": ";".join(search["flags"])}


TABLE = Table("largest_batch", largest_batch)
