"""The figures: each is declared, as FIGURE or FIGURES, by the module that draws it, and listed nowhere else."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import pandas as pd

from framebench.analyse import tables
from framebench.languages import Language
from framebench.record import Cell

if TYPE_CHECKING:
    import matplotlib.figure

# Parameters of a drawing function that follow from the command line and from the tables read.
CONTEXT = ("language", "labels", "article_batch_sizes")
Fields = Mapping[str, str]


@dataclass(frozen=True)
class Scope:
    """Everything that can be drawn."""

    cells: Sequence[Cell] = ()
    gpus: Sequence[str] = ()  # the devices that are GPUs
    sampled: Sequence[str] = ()  # GPUs whose samples are here
    searched: bool = False  # for the largest batch


def scope_of(rows: Iterable[Mapping], **other: Any) -> Scope:
    """The scope of runs; each row has a cell's columns and `device_uuid`; `other` attributes as given."""
    measured = list(rows)
    cells = dict.fromkeys(Cell.of(row) for row in measured)
    gpus = dict.fromkeys(row["device"] for row in measured if pd.notna(row["device_uuid"]))
    return Scope(list(cells), list(gpus), **other)


def if_measured(scope: Scope) -> list[Fields]:
    """The figure once, for any measurements."""
    return [{}] if scope.cells else []


def if_gpus(scope: Scope) -> list[Fields]:
    """The figure once, if any device is a GPU."""
    return [{}] if scope.gpus else []


@dataclass(frozen=True)
class Figure:
    """A figure, or a family of figures whose names differ in fields: `article-{device}`.

    The parameters of `draw` declare its inputs: tables by their names, anything else in `analyse.given.FILES`, SETTINGS
    and CONTEXT; fields of the name are parameters too. `each` gives the fields of every figure to draw. `section` and
    `place` give its position in the page; without a section the page does not show it. A language has its title as
    `title`.
    """

    name: str
    draw: Callable[..., "matplotlib.figure.Figure"]
    section: str
    place: int
    each: Callable[[Scope], Sequence[Fields]] = if_measured
    title: str = ""
    fixed: Fields = field(default_factory=dict)  # parameters of `draw` of the whole family

    @property
    def module(self) -> str:
        """The module that draws it."""
        return self.draw.__module__

    @property
    def needs(self) -> list[str]:
        """Names of all its input files."""
        return [name for name in tables.needs(self.draw) if name not in (*CONTEXT, *self._fields, *self.fixed)]

    @property
    def settings(self) -> list[str]:
        """Its parameters among SETTINGS."""
        return tables.settings(self.draw)

    @property
    def parameters(self) -> list[str]:
        """All parameters of its drawing function."""
        return list(signature(self.draw).parameters)

    @property
    def _fields(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.name)

    def matched(self, name: str) -> Fields | None:
        """The fields in a figure's name; None if the name is not of this family."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(self.name))
        found = re.fullmatch(pattern, name)
        return found.groupdict() if found else None

    def title_in(self, language: Language, fields: Fields, devices: Mapping[str, str]) -> str:
        """Its title, with display names of devices."""
        said = {name: devices.get(value, value.upper()) for name, value in fields.items()}
        return language[self.title or f"title_{self.name.replace('-', '_')}"].format(**said)


@cache
def figures() -> tuple[Figure, ...]:
    """Every figure and family, in the order of their places."""
    package = import_module(__package__)
    modules = [import_module(f"{__package__}.{found.name}") for found in iter_modules(package.__path__)]
    found: list[Figure] = [
        *(module.FIGURE for module in modules if hasattr(module, "FIGURE")),
        *(figure for module in modules for figure in getattr(module, "FIGURES", ())),
    ]
    return tuple(sorted(found, key=lambda figure: figure.place))


def families() -> list[str]:
    """The name of every figure as a command takes it, fields in angle brackets."""
    return [re.sub(r"\{(\w+)\}", r"<\1>", figure.name) for figure in figures()]


def find(name: str) -> tuple[Figure, Fields]:
    """The figure of this name and its fields; of two matching families, the more specific one. Raises ValueError."""
    found = [(figure, fields) for figure in figures() if (fields := figure.matched(name)) is not None]
    if not found:
        raise ValueError(f"unknown figure '{name}'; there is: {', '.join(families())}")
    return max(found, key=lambda one: len(re.sub(r"\{\w+\}", "", one[0].name)))


def names(scope: Scope) -> list[str]:
    """The names of all figures to draw, in the order of their places."""
    return [figure.name.format(**fields) for figure in figures() for fields in figure.each(scope)]
