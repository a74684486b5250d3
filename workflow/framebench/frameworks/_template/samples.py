"""Samples to show to the template, and what is expected of it, for the tests: `frameworks/_samples.py` says what."""

import numpy as np

from framebench.frameworks._samples import caught

EXECUTION = "eager"


def out_of_memory() -> list[BaseException]:
    # More than 2^47 bytes, which no process has addresses for, whatever the kernel lets it promise itself.
    return [caught(lambda: np.empty(2**50, np.uint8))]


def other_errors() -> list[BaseException]:
    return [caught(lambda: np.ones(2) @ np.ones(3))]
