"""A framework under another name, to be compared with itself.

`pytorch~again` is PyTorch. `pytorch~5-more` is PyTorch with one more training step after every 5, which it does not
count: it does 6/5 of the work, so its speed is 5/6 of PyTorch's, whatever the machine does.
"""

import re

SIDE = "~"
AGAIN = "again"
MORE = re.compile(r"(\d+)-more")


def base(framework: str) -> str:
    """The framework behind a name."""
    return framework.partition(SIDE)[0]


def side(framework: str) -> str:
    """The suffix of a name after its framework; empty for the framework itself."""
    return framework.partition(SIDE)[2]


def extra_step_every(framework: str) -> int | None:
    """Number of counted steps before an uncounted one; None where every step counts."""
    found = MORE.fullmatch(side(framework))
    return int(found[1]) if found else None
