"""What a campaign was measured on, as its records tell it: they name no host."""

from collections.abc import Iterable

import pandas as pd

# A node of a cluster has a name; of other machines their processor and memory are told, and every GPU by its UUID.
OF_HOST = ("slurm_node", "cpu_model", "cpu_cores", "memory_total_mib")
OF_MACHINE = (*OF_HOST, "device_name", "device_uuid")


def told(records: Iterable[dict]) -> list[dict]:
    """Every set of values that OF_MACHINE has in these records, once; null where a record has none.

    Memory is rounded to whole GiB (in MiB, as the column has it): what a kernel keeps for itself changes with it.
    """
    rows = pd.DataFrame([{name: _steady(name, record.get(name)) for name in OF_MACHINE} for record in records])
    every = {tuple(row.items()) for row in rows.astype(object).where(rows.notna(), None).to_dict("records")}
    return [dict(row) for row in sorted(every, key=repr)]


def _steady(name: str, value: object) -> object:
    return 1024 * round(value / 1024) if name == "memory_total_mib" and isinstance(value, int | float) else value
