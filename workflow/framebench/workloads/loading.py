"""Loads a user's model file by its path, so that neither its name nor its folder hides an installed package."""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal, in messages of Keras
# Names of user's model files that are also names of packages.
RESERVED = ("keras", "pytorch", "tensorflow", "jax")


class UserError(Exception):
    """A user's file cannot be proved; one line. `traceback` is the user's own, where their code raised."""

    def __init__(self, line: str, traceback: str = "") -> None:
        super().__init__(" ".join(line.split()))
        self.traceback = traceback


class Siblings(importlib.abc.MetaPathFinder):
    """Finds the other modules of a user's folder, after every installed package."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if path is not None or name in RESERVED:
            return None
        return importlib.machinery.PathFinder.find_spec(name, [self.folder])


@contextmanager
def at_home(folder: Path, *, forget: bool = True) -> Iterator[None]:
    """Makes files and modules of a user's folder importable meanwhile; its modules are then forgotten, or kept.

    A compiler may import the module of a model again by its name when the model is first called.
    """
    before, finder = Path.cwd(), Siblings(folder)
    os.chdir(folder)
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()) if forget else ():
            if str(getattr(module, "__file__", None) or "").startswith(f"{folder}/"):
                del sys.modules[name]


def model(path: Path, function: str) -> Any:
    """The model that `function` of a file returns; UserError where it has none or raises."""
    spec = importlib.util.spec_from_file_location(f"user_{path.stem}", path)
    assert spec and spec.loader  # never None for a file that ends in .py
    run = spec.loader.exec_module
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks its own module up there
    raised(lambda: run(module), f"{path.name}: importing it", path)
    build = getattr(module, function, None)
    if not callable(build):
        raise UserError(f"{path.name}: has no function {function}(); it must return the model")
    return raised(build, f"{path.name}: {function}()", path)


def raised(call: Callable[[], Any], doing: str, path: Path) -> Any:
    """The result of a user's code; UserError with the traceback from their file on where it raises."""
    try:
        return call()
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too
        raise UserError(f"{doing} raised {in_a_line(error)}", told(error, path)) from None


def in_a_line(error: BaseException) -> str:
    """An exception's type and the first line of its message that says something."""
    lines = [line.strip() for line in COLOUR.sub("", str(error)).splitlines() if line.strip()]
    # Keras puts a line of its own before what a user's layer raised.
    said = lines[1:] if lines and lines[0].startswith("Exception encountered when calling") else lines
    return f"{type(error).__name__}: {[*said, *lines, ''][0]}"


def told(error: BaseException, path: Path) -> str:
    """The traceback of an exception from the first line in a user's file on."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, frame in enumerate(frames) if Path(frame.filename) == path), len(frames))
    return "".join([*traceback.format_list(frames[first:]), *traceback.format_exception_only(error)])
