"""Environment of a campaign, from its records: machine, versions, commit and seeds."""

from collections.abc import Sequence

import pandas as pd

from framebench.languages import Language

OF_DEVICE = (
    "device_name",
    "device_uuid",
    "gpu_memory_total_mib",
    "gpu_power_limit_w",
    "gpu_max_sm_mhz",
    "gpu_ecc",
    "gpu_mig",
    "driver_version",
    "slurm_node",
    "cpu_model",
    "cpu_cores",
    "cpu_quota_cores",
    "cores",
    "memory_total_mib",
    "kernel_version",
    "threads",
)
OF_FRAMEWORK = (
    "framework_version",
    "backend",
    "python_version",
    "numpy_version",
    "interpreter",
    "lock_digest",
)
OF_CAMPAIGN = ("seed", "framebench_version", "git_commit", "git_commit_reason", "git_dirty", "inherited_variables")


def told(
    measurements: pd.DataFrame, by: str | None, columns: Sequence[str], language: Language
) -> dict[str, dict[str, list[str]]]:
    """Words for a column → value of the column `by` → the values of its runs, each once.

    Columns without any value are left out. Without `by`, all runs are under "".
    """
    groups = dict(list(measurements.groupby(by))) if by else {"": measurements}
    found = {
        language.column(column): {
            str(name): [_text(value, language) for value in runs[column].dropna().unique()]
            for name, runs in groups.items()
        }
        for column in columns
    }
    return {column: values for column, values in found.items() if any(values.values())}


def _text(value: object, language: Language) -> str:
    return f"{value:,.0f}" if isinstance(value, float) else language.value(value)
