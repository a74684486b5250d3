"""The machines of a campaign, by its records, which name no host.

In a table of many machines, a device is named with its machine, `cpu@lab`; so whatever is separated by device is
separated by machine.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

AT = "@"
# A cluster's node has a name; other machines are described by processor and memory, and every GPU by its UUID.
OF_HOST = ("slurm_node", "cpu_model", "cpu_cores", "memory_total_mib")
OF_MACHINE = (*OF_HOST, "device_name", "device_uuid")


def at(device: str, machine: str) -> str:
    """The name of a device among those of many machines; one with a machine already keeps it."""
    return device if AT in device else f"{device}{AT}{machine}"


def machine(device: str) -> str:
    """The machine in the name of a device; empty in the results of a single machine."""
    return device.partition(AT)[2]


def alone(device: str) -> str:
    """The name of a device on its machine."""
    return device.partition(AT)[0]


def name(records: Iterable[dict]) -> str:
    """A machine's name from these records: its model, and a digest of OF_MACHINE.

    The same machine has the same name in every campaign that used the same devices; two machines with the same hardware
    and no GPU share it.
    """
    rows = told(records)
    model = next((row[key] for key in ("device_name", "cpu_model") for row in rows if row[key]), "machine")
    words = re.sub(r"\s*\(\w+\)|[^0-9A-Za-z]+", " ", model).split()
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()[:6]
    return "-".join([*words, digest]).lower()


def told(records: Iterable[dict]) -> list[dict]:
    """Every distinct set of values of OF_MACHINE in these records; null where a record has none.

    Memory is rounded to whole GiB (in MiB, like the column): the kernel's own share varies.
    """
    rows = pd.DataFrame([{name: _steady(name, record.get(name)) for name in OF_MACHINE} for record in records])
    every = {tuple(row.items()) for row in rows.astype(object).where(rows.notna(), None).to_dict("records")}
    return [dict(row) for row in sorted(every, key=repr)]


def _steady(name: str, value: Any) -> object:
    return 1024 * round(value / 1024) if name == "memory_total_mib" and pd.notna(value) else value


def told_apart(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, or searches, with `device_name` unique to a device: a model that several devices of a machine have is
    followed by the device's name in config.yaml."""
    if not {"device", "device_name"} <= set(runs.columns):
        return runs
    of_machine = [runs["device"].map(machine, na_action="ignore"), "device_name"]
    several = runs.groupby(of_machine)["device"].transform("nunique") > 1
    full = runs["device_name"] + " (" + runs["device"].map(alone, na_action="ignore") + ")"
    return runs.assign(device_name=runs["device_name"].mask(several, full)) if several.any() else runs
