"""Makes a measuring process train on the processor where its card is a stand-in.

Python runs this file first in every process of a workspace that has it beside the package. Where the node has the
variable ASLEEP, the process waits before it begins, as long as the file is there and the name in it, or none, is that
of its environment.
"""

import os
import sys
import time
from pathlib import Path

ASLEEP = "FRAMEBENCH_TEST_ASLEEP"

if "framebench.measure.worker" in sys.orig_argv:
    night = Path(os.environ.get(ASLEEP, "/nowhere"))
    while night.exists() and night.read_text(encoding="utf-8") in Path(sys.prefix).name:
        time.sleep(0.1)

    from framebench.measure.devices import cuda

    checked = cuda.device

    def device(uuid: str | None) -> str:
        checked(uuid)
        return "cpu"

    cuda.device = device
