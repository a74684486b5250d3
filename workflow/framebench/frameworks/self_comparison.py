"""A framework under another name, to be compared with itself.

`pytorch~again` is PyTorch. `pytorch~5-more` is PyTorch that takes one more training step after every 5 and does
not count it: it does 6/5 of the work, so that its speed is 5/6 of PyTorch's, whatever the machine does.
"""

import re

SIDE = "~"
AGAIN = "again"
MORE = re.compile(r"(\d+)-more")


def base(framework: str) -> str:
    """The framework behind a name."""
    return framework.partition(SIDE)[0]


def side(framework: str) -> str:
    """What follows the framework in a name; empty for the framework itself."""
    return framework.partition(SIDE)[2]


def extra_step_every(framework: str) -> int | None:
    """After how many counted steps one is taken that does not count; None where every step counts."""
    found = MORE.fullmatch(side(framework))
    return int(found[1]) if found else None
