"""What of a trace was computed on the device, in the traces that XLA's profiler writes: TensorFlow's and JAX's.

Its planes, lines and events are named in github.com/openxla/xla, xla/tsl/profiler: a plane for each GPU with a line for
each of its streams, and one for the host with a line for each thread.
"""

import re

GPU_PLANE, GPU_LINE = "/device:GPU:", "Stream #"
# Of events on the CPU: what XLA compiled says of which instruction it is, TensorFlow's operators are `name:Type`.
XLA_INSTRUCTION = "hlo_op"
OPERATOR = re.compile(r"[^ :]+:(\w+)")
# Operators that stand for a whole graph, of whose operators each has an event.
CALL = re.compile(r"__inference_.*|(Stateful)?PartitionedCall")


def on_gpu(plane: str, line: str) -> bool:
    """Whether the events of a line are kernels and copies of a GPU."""
    return plane.startswith(GPU_PLANE) and line.startswith(GPU_LINE)


def on_cpu(event: str, says_instruction: bool) -> bool:
    """Whether an event is an operator, from its name and whether it says of which of XLA's instructions it is."""
    operator = OPERATOR.fullmatch(event)
    return says_instruction or bool(operator and not CALL.fullmatch(operator[1]))
