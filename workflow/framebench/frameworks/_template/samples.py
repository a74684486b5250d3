"""Test samples for the template: described in `frameworks/_samples.py`."""

import numpy as np

from framebench.frameworks._samples import caught

EXECUTION = "eager"


def out_of_memory() -> list[BaseException]:
    # More than 2^47 bytes, beyond the addresses of any process, even where the kernel overcommits.
    return [caught(lambda: np.empty(2**50, np.uint8))]


def other_errors() -> list[BaseException]:
    return [caught(lambda: np.ones(2) @ np.ones(3))]
