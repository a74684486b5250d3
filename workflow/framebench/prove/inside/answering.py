"""A process that runs a user's code. Its arguments are pairs of JSON files: a request, and the path of its answer.

Output of a user's code goes to the log, which is the process's own output.
"""

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from framebench.workloads.loading import UserError, at_home


def answer_requests(by: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer every request by this function; the answer for a refused folder gives the reason."""
    # Keras collects garbage before each model; among the objects of loaded packages it took half a second to find none.
    gc.freeze()
    for asked, output in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        request = json.loads(Path(asked).read_text(encoding="utf-8"))
        start = time.perf_counter()
        try:
            with at_home(Path(request["folder"])):
                answer = by(request)
        except UserError as error:
            answer = {"refused": str(error), "traceback": error.traceback}
        answer["seconds"] = time.perf_counter() - start
        Path(output).write_text(json.dumps(answer, default=str), encoding="utf-8")
    if threading.active_count() > 1:  # threads of a user's: Python would wait for them
        sys.stdout.flush()
        os._exit(0)
