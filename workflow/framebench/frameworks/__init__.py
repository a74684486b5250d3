"""The frameworks: a folder each, with an adapter to measure it by and an inspector to prove it by.

`contract.py` says what the two must hold; `make new-framework NAME=…` makes a first folder from `_template/`. Nothing
is imported here but what finds a folder, so that planning needs neither NumPy nor a framework.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from framebench.frameworks import self_comparison

if TYPE_CHECKING:
    from framebench.frameworks.contract import Adapter, Inspecting


class NoInspectorError(Exception):
    """A framework that can be measured but not looked into; names the file that it lacks."""


def load(name: str) -> "Adapter":
    """The adapter of framework `name`, or of the one behind it; importing it imports the framework."""
    return importlib.import_module(f"{__name__}.{_folder(name)}.adapter")  # type: ignore[return-value]


def inspector(name: str) -> "Inspecting":
    """The module that looks into the trainers of that framework; NoInspectorError where it has none."""
    if not Path(__file__).with_name(_folder(name)).joinpath("inspector.py").is_file():
        raise NoInspectorError(
            f"workflow/framebench/frameworks/{_folder(name)}/inspector.py does not exist, so nothing looks into {name}"
        )
    return importlib.import_module(f"{__name__}.{_folder(name)}.inspector")  # type: ignore[return-value]


def _folder(name: str) -> str:
    return self_comparison.base(name).replace("-", "_")
