"""Start and memory of a run, defined once for the answer, the page and the figures.

*Start*, in s: importing the framework, building the model, and the first step with its tracing and compiling; the
loading of the samples is no part of it. Runs that were started beside others have none.
*Memory*, in MiB: on a GPU, the most that was in use on the card from the start of the process to the end of training,
above what was in use before; on a CPU, the most that was resident of the process from its first training step on.
"""

import pandas as pd

# In the order in which a process passes them.
START = ["import_s", "build_s", "time_to_first_step_s"]


def start_s(runs: pd.DataFrame) -> pd.Series:
    """The start of each run; null where a part of it is not told."""
    return runs[START].astype("float64").sum(axis=1, skipna=False)


def memory_mib(runs: pd.DataFrame) -> pd.Series:
    """The memory of each run."""
    on_gpu = runs["device_uuid"].notna()
    return runs["gpu_peak_delta_mib"].where(on_gpu, runs["host_rss_training_peak_mib"])
