"""Start and memory of a run, defined once for the answer, the page and the figures.

*Start*, in s: importing the framework, building the model, and the first step with its tracing and compiling; loading
the samples does not count. Runs that were started beside others have no start.
*Memory*, in MiB: on a GPU, the most in use on the card from the start of the process to the end of training, above the
use before; on a CPU, the most resident memory of the process from its first training step on.
"""

import pandas as pd

# In the order in which a process reaches them.
START = ["import_s", "build_s", "time_to_first_step_s"]


def start_s(runs: pd.DataFrame) -> pd.Series:
    """The start of each run; null if a part of it is unknown."""
    return runs[START].astype("float64").sum(axis=1, skipna=False)


def memory_mib(runs: pd.DataFrame) -> pd.Series:
    """The memory of each run."""
    on_gpu = runs["device_uuid"].notna()
    return runs["gpu_peak_delta_mib"].where(on_gpu, runs["host_rss_training_peak_mib"])
