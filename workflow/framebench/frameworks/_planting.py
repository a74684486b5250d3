"""Planting faults in a framework, for the tests: measured code imports none of this.

A framework's `faults.py` holds
    faults(adapter)     its own faults, besides those that `tests/integration/planted.py` plants in every framework
    more_work(trainer)  adds products to training that change nothing: `tests/integration/planted_runs.py`
    PLANTED             names of the faults that `make test-all` plants, with a `-` before one to leave out; default all
    IN_TABLE            names of the faults in docs/planted-faults.md; default all
    LEARNS              True: also plant the faults in learning alone, which takes time
The three constants are literals, as they are read without importing the framework.
"""

from collections.abc import Callable
from types import ModuleType

Patch = tuple[object, str, object]  # object, attribute, replacement
Fault = tuple[str, str, list[Patch]]  # workload, name of the fault, patches

EPSILON = "epsilon 1e-3 of a batch norm"  # Keras's own


def built(adapter: ModuleType, change: Callable) -> list[Patch]:
    """An adapter that changes itself when it is built."""
    init = adapter.Trainer.__init__

    def changed(self, *arguments: object, **options: object) -> None:
        init(self, *arguments, **options)
        change(self)

    return [(adapter.Trainer, "__init__", changed)]
