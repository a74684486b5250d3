"""The frameworks: a folder each, with an adapter to measure it and an inspector to prove it.

`contract.py` defines both; `make new-framework NAME=…` makes a first folder from `_template/`. Only the look-up of a
folder is imported here, so that planning needs neither NumPy nor a framework.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from framebench.frameworks import self_comparison

if TYPE_CHECKING:
    from framebench.frameworks.contract import Adapter, Inspecting


class NoInspectorError(Exception):
    """A framework that can be measured but not looked into; names the missing file."""


def load(name: str) -> "Adapter":
    """The adapter of framework `name`, or of the one behind it; importing it imports the framework."""
    return importlib.import_module(f"{__name__}.{_folder(name)}.adapter")  # type: ignore[return-value]


def inspector(name: str) -> "Inspecting":
    """The module that looks into that framework's trainers; NoInspectorError where it has none."""
    if not Path(__file__).with_name(_folder(name)).joinpath("inspector.py").is_file():
        raise NoInspectorError(
            f"workflow/framebench/frameworks/{_folder(name)}/inspector.py does not exist, so nothing looks into {name}"
        )
    return importlib.import_module(f"{__name__}.{_folder(name)}.inspector")  # type: ignore[return-value]


def _folder(name: str) -> str:
    return self_comparison.base(name).replace("-", "_")
