"""Device activity in XLA profiler traces (TensorFlow and JAX).

Planes, lines and events are named in github.com/openxla/xla, xla/tsl/profiler: a plane for each GPU with a line for
each of its streams, and one for the host with a line for each thread.
"""

import re

GPU_PLANE, GPU_LINE = "/device:GPU:", "Stream #"
# Events on the CPU: code compiled by XLA names its instruction, TensorFlow's operators are `name:Type`.
XLA_INSTRUCTION = "hlo_op"
OPERATOR = re.compile(r"[^ :]+:(\w+)")
# Operators for a whole graph; each operator of the graph has an event of its own.
CALL = re.compile(r"__inference_.*|(Stateful)?PartitionedCall")


def on_gpu(plane: str, line: str) -> bool:
    """True where the events of a line are kernels and copies of a GPU."""
    return plane.startswith(GPU_PLANE) and line.startswith(GPU_LINE)


def on_cpu(event: str, says_instruction: bool) -> bool:
    """True where an event is an operator, by its name and by whether it names an instruction of XLA's."""
    operator = OPERATOR.fullmatch(event)
    return says_instruction or bool(operator and not CALL.fullmatch(operator[1]))
