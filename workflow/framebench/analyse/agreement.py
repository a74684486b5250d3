"""Whether equal cards, each of another machine, are equally fast: `python -m framebench.analyse.agreement --help`."""

from itertools import combinations
from typing import Any

import pandas as pd

from framebench import machines
from framebench.analyse import command
from framebench.analyse.statistics import holm, ratio_of_independent
from framebench.analyse.table import BLOCK

# What two cells share but for the device; of a CPU the cores too, as many machines call different ones by one name.
SHARED = ["device_name", "cores", *(key for key in BLOCK if key != "device"), "framework"]
COLUMNS = dict.fromkeys(SHARED, "str") | {
    "cores": "Int64",
    "batch_size": "Int64",
    "machine": "str",
    "reference": "str",
    "images_per_s": "float64",
    "reference_images_per_s": "float64",
    "ratio": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "confidence": "float64",
    "runs": "Int64",
    "reference_runs": "Int64",
    "same_software": "boolean",
    "p": "float64",
    "p_adjusted": "float64",
    "verdict": "str",
}
APART, TOGETHER, TOO_FEW = "apart", "no difference shown", "too few runs"


def agreement(measurements: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row of COLUMNS per cell and pair of equal cards of two machines that have runs of it that are ok.

    `images_per_s` is the median over the runs of `machine`, `reference_images_per_s` that over the runs of the other.
    `ratio` is that of their geometric means. Two machines share no rounds, so its interval at level `confidence` is
    that of independent runs (see `ratio_of_independent`); p is adjusted for the number of rows by Holm's method, and
    the verdict is APART where it is then below 1 - confidence. `same_software` tells whether all runs of both had one
    version of the framework and one lock: where not, that may be what sets them apart.
    """
    ok = measurements[measurements["status"] == "ok"]
    ok = ok.assign(
        machine=ok["device"].map(machines.machine), cores=ok["cpu_cores"].where(ok["device_uuid"].isna()).fillna(0)
    )
    rows: list[dict[str, Any]] = []
    for cell, runs in ok.groupby(SHARED):
        for (device, some), (reference, others) in combinations(runs.groupby("device"), 2):
            if machines.machine(str(device)) == machines.machine(str(reference)):
                continue
            found, p = ratio_of_independent(some["images_per_s"].tolist(), others["images_per_s"].tolist(), confidence)
            software = runs.loc[[*some.index, *others.index], ["framework_version", "lock_digest"]]
            rows.append(
                dict(zip(SHARED, cell, strict=True))
                | {"machine": machines.machine(str(device)), "reference": machines.machine(str(reference))}
                | {"images_per_s": some["images_per_s"].median()}
                | {"reference_images_per_s": others["images_per_s"].median()}
                | {"ratio": found.mean, "ci_low": found.low, "ci_high": found.high, "confidence": confidence}
                | {"runs": len(some), "reference_runs": len(others), "p": p}
                | {"same_software": len(software.drop_duplicates()) == 1}
            )
    adjusted = iter(holm([row["p"] for row in rows if row["p"] is not None]))
    for row in rows:
        row["p_adjusted"] = None if row["p"] is None else next(adjusted)
        row["verdict"] = TOO_FEW if row["p"] is None else APART if row["p_adjusted"] < 1 - confidence else TOGETHER
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    frame["cores"] = frame["cores"].where(frame["cores"] > 0)
    return frame


def main(arguments: list[str] | None = None) -> None:
    """Read measurements, write the table; see framebench.analyse.command."""
    command.run(agreement, __doc__.partition(":")[0], arguments)


if __name__ == "__main__":
    main()
