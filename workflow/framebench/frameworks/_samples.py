"""Test samples for a framework: measured code imports none of this.

A framework's `samples.py` holds
    out_of_memory(), other_errors()  errors that it raises, or would raise on a GPU: out of memory, and others
    gpu_spans()   the GPU spans that its inspector finds in a hand-written trace, where the GPU has only a kernel from
                  3000 to 6000 ns and a copy from 5000 to 9000 ns; without this function, it is not tested
    EXECUTION     execution of a net in track `default`: `eager`, `graph` or `compiled`
    BATCH_NORM    `fused` if a batch norm in evaluation has a kernel of its own; missing if not
    UNAVAILABLE   workload → beginning of the refusal, for the workloads without track `tuned`
The constants are literals, as they are read without importing the framework.
"""

from collections.abc import Callable

# A GPU trace in the format of XLA's profiler: a kernel and a copy that overlap, an annotation over both and the time
# between, and an operator of the host. Times in ns, by the lines' clocks: 3000 to 6000 and 5000 to 9000.
GPU_TRACE = """
planes {
  name: "/device:GPU:0"
  lines {
    name: "Stream #7(Kernel)"
    timestamp_ns: 1000
    events { metadata_id: 1 offset_ps: 2000000 duration_ps: 3000000 }
  }
  lines {
    name: "Stream #9(MemcpyH2D)"
    timestamp_ns: 4000
    events { metadata_id: 2 offset_ps: 1000000 duration_ps: 4000000 }
  }
  lines {
    name: "XLA Modules"
    timestamp_ns: 0
    events { metadata_id: 3 offset_ps: 0 duration_ps: 90000000 }
  }
  event_metadata { key: 1 value { id: 1 name: "kernel" } }
  event_metadata { key: 2 value { id: 2 name: "MemcpyH2D" } }
  event_metadata { key: 3 value { id: 3 name: "jit_step" } }
}
planes {
  name: "/host:CPU"
  lines {
    name: "python"
    timestamp_ns: 0
    events { metadata_id: 1 offset_ps: 0 duration_ps: 90000000 }
  }
  event_metadata { key: 1 value { id: 1 name: "Conv2D:Conv2D" } }
}
"""


def caught(fail: Callable[[], object]) -> BaseException:
    """The error that a function raises; AssertionError where it raises none."""
    try:
        fail()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")
