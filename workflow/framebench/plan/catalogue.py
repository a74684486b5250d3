"""Catalogue of frameworks and workloads, found by looking at the files, without importing any of them."""

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from framebench import usermodels
from framebench.frameworks import self_comparison

ROOT = Path(__file__).resolve().parents[3]

PACKAGE = Path("workflow/framebench")
ADAPTER, INSPECTOR = "adapter.py", "inspector.py"
# An import statement on a line of its own, or over several lines in brackets without a comment.
PLAIN_IMPORT = re.compile(
    r"^[ \t]*((?:from[ \t]+[.\w]+[ \t]+)?import[ \t]+"
    r"(?:\([\w\s,]+\)|[.\w]+(?:[ \t]*,[ \t]*[.\w]+|[ \t]+as[ \t]+\w+)*))[ \t]*(?:#.*)?$",
    re.MULTILINE,
)
COLOUR = re.compile("#[0-9A-Fa-f]{6}")
# Constant of an adapter → type of its literal, type of its items, and how to write it.
CONSTANTS: dict[str, tuple[type, type, str]] = {
    "LABEL": (str, str, "a name in quotes"),
    "ENVIRONMENT": (str, str, "a name in quotes"),
    "MODEL_FILE": (str, str, "a name in quotes"),
    "COLOUR": (str, str, 'a colour such as "#0072B2"'),
    "MARKER": (str, str, 'a marker of Matplotlib, such as "o"'),
    "TRACKS": (tuple, str, 'a tuple of track names, such as ("default",)'),
    "PRECISIONS": (
        dict,
        tuple,
        'what it trains in by kind of device, such as {"cpu": ("float32",), "cuda": ("tf32",)}',
    ),
}
OF_TUNED = {
    "OPTIONS": (
        dict,
        dict,
        'settings with their values by kind of device, such as {"cpu": {"compile": (False, True)}, "cuda": {}}',
    )
}


class AdapterError(Exception):
    """An adapter lacks a declaration; one line that names the file."""


@dataclass(frozen=True)
class Adapter:
    """The declarations of a framework's adapter."""

    name: str
    label: str
    environment: str
    model_file: str
    colour: str  # `#` and six hex digits
    marker: str  # of Matplotlib
    tracks: tuple[str, ...]
    precisions: Mapping[str, tuple[str, ...]]  # by kind of device, `cpu` or `cuda`
    path: Path  # relative to the repository
    # Settings of track `tuned` with their values, the default first, by kind of device.
    options: Mapping[str, Mapping[str, tuple]] = field(default_factory=dict)
    training_options: tuple[str, ...] = ()  # settings that do not apply to inference

    def options_of(self, kind: str, trains: bool) -> dict[str, tuple]:
        """The settings on a kind of device, for a workload which trains, or else infers."""
        options = self.options.get(kind, {})
        return {name: values for name, values in options.items() if trains or name not in self.training_options}

    @property
    def most_trials(self) -> int:
        """Most runs in a search for its settings: the default ones, each change of one, and three more."""
        changes = [sum(len(values) - 1 for values in options.values()) for options in self.options.values()]
        return 1 + max(changes, default=0) + 3

    @property
    def defaults(self) -> dict[str, object]:
        """The value of every setting in track `default`, on any device."""
        return {name: values[0] for options in self.options.values() for name, values in options.items()}


@cache
def frameworks(root: Path = ROOT) -> tuple[str, ...]:
    """The folders with an adapter, sorted; `frameworks/keras_tensorflow/` is `keras-tensorflow`.

    One whose name begins with `_` is no framework.
    """
    adapters = sorted((root / PACKAGE / "frameworks").glob(f"[!_]*/{ADAPTER}"))
    return tuple(adapter.parent.name.replace("_", "-") for adapter in adapters)


def workloads(root: Path = ROOT) -> tuple[str, ...]:
    """Every workload: those with a spec, and the user's own models."""
    return (*specs(root), *usermodels.models())


@cache
def specs(root: Path = ROOT) -> tuple[str, ...]:
    """Names of the folders of `workflow/framebench/workloads/` with a spec.py, sorted; `_` is `-`."""
    specs = sorted((root / PACKAGE / "workloads").glob("*/spec.py"))
    return tuple(spec.parent.name.replace("_", "-") for spec in specs)


@cache
def adapter(framework: str, root: Path = ROOT) -> Adapter:
    """The declarations of a framework's adapter; AdapterError naming the file and the missing constant."""
    path = folder(framework) / ADAPTER
    constants = declared(path, root)
    wanted = CONSTANTS | (OF_TUNED if "tuned" in (constants.get("TRACKS") or ()) else {})
    for name, (kind, of, how) in wanted.items():
        value = constants.get(name)
        inside = value.values() if isinstance(value, dict) else value or ()
        if not inside or not isinstance(value, kind) or not all(isinstance(item, of) for item in inside):
            raise AdapterError(f"{path}: the constant {name} is missing or wrong; it must be {how}")
    if not COLOUR.fullmatch(constants["COLOUR"]):
        raise AdapterError(
            f"{path}: the constant COLOUR is {constants['COLOUR']!r}; it must be {CONSTANTS['COLOUR'][2]}"
        )
    found = {name.lower(): constants[name] for name in wanted}
    return Adapter(framework, path=path, training_options=constants.get("TRAINING_OPTIONS", ()), **found)


def folder(framework: str) -> Path:
    """The folder of a framework, or of the one behind it, relative to the repository."""
    return PACKAGE / "frameworks" / _module(self_comparison.base(framework))


def takes_part(framework: str, workload: str, root: Path = ROOT) -> bool:
    """True where the framework has a model file of the workload."""
    return (root / model_path(framework, workload, root)).is_file()


def beneath(framework: str, others: Iterable[str], root: Path = ROOT) -> str | None:
    """The backend of a framework among these others: the one of its environment with a model file of its own.

    `keras-torch` has `pytorch` beneath. None where there is none among them.
    """
    own = adapter(framework, root)
    for other in others:
        found = adapter(other, root)
        if found.environment == own.environment and found.model_file == _module(other) != own.model_file:
            return other
    return None


def colour(framework: str | None) -> str | None:
    """The colour of a framework, as #RRGGBB; None without one, and for one that is not here, as in merged results."""
    return adapter(framework).colour if framework in frameworks() else None


def framework_label(framework: str, root: Path = ROOT) -> str:
    """The framework's name for readers (`keras-tensorflow`: `Keras (TensorFlow)`)."""
    side = self_comparison.side(framework)
    return adapter(framework, root).label + (f" ({side})" if side else "")


def spec_path(workload: str) -> Path:
    """Path of a workload's spec, relative to the repository; of a user's own model, the file of its problem."""
    if model := _own_model(workload):
        return Path(model["folder"], "problem.yaml")
    return PACKAGE / "workloads" / _module(workload) / "spec.py"


def model_path(framework: str, workload: str, root: Path = ROOT) -> Path:
    """Expected path of a framework's model of a workload, relative to the repository, or in a user's folder."""
    style = adapter(framework, root).model_file
    if model := _own_model(workload):
        return Path(model["folder"], model.get(style, {}).get("file", f"{style}.py"))
    return PACKAGE / "workloads" / _module(workload) / f"{style}.py"


@cache
def sources(framework: str, workload: str, root: Path = ROOT) -> tuple[Path, ...]:
    """The files that the measurement of a workload in a framework depends on, relative to the repository, sorted.

    They are the shared measuring code, the framework's adapter and inspector, the workload's spec, the one model file
    that the framework uses, and everything in the package that these import. Files of other frameworks are left out, so
    that a change to one framework measures only that framework again.
    """
    package = root / PACKAGE
    schema = PACKAGE.parent / "schemas" / "record.schema.json"
    files = _closure(
        [
            package / "record.py",
            *(package / "measure").glob("**/*.py"),
            *(package / "workloads").glob("*.py"),
            *_of_workload(framework, workload, root),
            *_own(framework, root),
        ],
        root,
    )
    return tuple(sorted([schema, *files]))


@cache
def certified(framework: str, workload: str, root: Path = ROOT) -> tuple[Path, ...]:
    """The files that determine the function that a framework trains, relative to the repository, sorted.

    They are the workload's spec, the framework's model file, adapter and inspector, and everything that these import.
    """
    return tuple(sorted(_closure([*_of_workload(framework, workload, root), *_own(framework, root)], root)))


@cache
def sources_digest(framework: str, workload: str, root: Path = ROOT) -> str:
    """12 hex digits that change with the content of any of the `sources`.

    For Snakemake's `params`: twenty files as `input` of each of ten thousand runs make it plan for a minute.
    """
    return _digest(_own_digest(workload), sources(framework, workload, root), root)


@cache
def certificate_id(framework: str, workload: str, lock_digest: str, root: Path = ROOT) -> str:
    """12 hex digits that change with the subject of a certificate: those files, and the framework's environment.

    A certificate has it and every record carries it; a record counts under no other certificate.
    """
    words = [self_comparison.base(framework), workload, lock_digest, *_own_digest(workload)]
    return _digest(words, certified(framework, workload, root), root)


@cache
def code(*modules: str, root: Path = ROOT) -> tuple[Path, ...]:
    """The files of the package behind these modules, `framebench.…`, relative to the repository, sorted.

    For Snakemake's `input`: it does not see by itself that a program it calls has changed.
    """
    paths = [root / PACKAGE.parent / module.replace(".", "/") for module in modules]
    entries = [path / "__main__.py" if path.is_dir() else path.with_suffix(".py") for path in paths]
    return tuple(sorted(_closure(entries, root)))


def third_party(framework: str, root: Path = ROOT) -> tuple[str, ...]:
    """The modules that measuring in a framework imports from outside Python and this package, sorted."""
    measured = [*(root / PACKAGE / "measure").glob("**/*.py"), *_own(framework, root)]
    names = {module.partition(".")[0] for file in _closure(measured, root) for module in _modules(root / file, root)}
    return tuple(sorted(names - {PACKAGE.name} - sys.stdlib_module_names))


def _own(framework: str, root: Path) -> list[Path]:
    """The framework's adapter, and its inspector where it has one."""
    path = root / adapter(framework, root).path
    inspector = path.with_name(INSPECTOR)
    return [path, inspector] if inspector.is_file() else [path]


def _of_workload(framework: str, workload: str, root: Path) -> list[Path]:
    """Files of the repository for a workload in a framework; a user's own model has none."""
    if _own_model(workload):
        return [root / PACKAGE / "workloads" / "own.py"]
    return [root / spec_path(workload), root / model_path(framework, workload, root)]


def _own_model(workload: str) -> dict[str, Any] | None:
    """The problem of a user's own model; None for a workload with a spec."""
    model = usermodels.models().get(workload)
    return model and model["asked"]


def _own_digest(workload: str) -> list[str]:
    """The digest of a user's own model, if it is one."""
    model = _own_model(workload)
    return [usermodels.digest(Path(model["folder"]))] if model else []


def _digest(words: Iterable[str], paths: Iterable[Path], root: Path) -> str:
    digest = hashlib.sha256(" ".join(words).encode())
    for path in paths:
        # Sources that came through a Windows archive or editor are the same sources.
        digest.update(f"{path}\n".encode() + (root / path).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


def _closure(files: list[Path], root: Path) -> set[Path]:
    """The files and their direct and indirect imports from the package, relative to the repository."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imports(file, root)
    return {file.relative_to(root) for file in found}


def _module(name: str) -> str:
    return name.replace("-", "_")


@cache
def _syntax(file: Path, root: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AdapterError(f"{file.relative_to(root)}: does not exist") from None
    except SyntaxError as error:
        raise AdapterError(f"{file.relative_to(root)}: line {error.lineno}: {error.msg}") from None


def declared(path: Path, root: Path = ROOT) -> dict[str, Any]:
    """Top-level names of a file of the repository → their literals, or None where the value is no literal."""
    constants: dict[str, Any] = {}
    for statement in _syntax(root / path, root).body:
        match statement:
            case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
                try:
                    constants[name] = statement.value and ast.literal_eval(statement.value)
                except ValueError:
                    constants[name] = None
    return constants


@cache
def _imports(file: Path, root: Path) -> tuple[Path, ...]:
    """The files of the package that a file imports; cached, as some forty closures go through most of them."""
    found = dict.fromkeys(one for module in _modules(file, root) for one in _files_of(module, root))
    return tuple(found)


@cache
def _files_of(module: str, root: Path) -> tuple[Path, ...]:
    """The files that run where this is imported: its own and those of its packages; of others none."""
    names = module.split(".")
    if names[0] != PACKAGE.name:
        return ()
    path = root / PACKAGE.parent / Path(*names)
    above = [root / PACKAGE.parent / Path(*names[:depth]) / "__init__.py" for depth in range(1, len(names))]
    return tuple(one for one in (path.with_suffix(".py"), path / "__init__.py", *above) if one.is_file())


def _modules(file: Path, root: Path) -> list[str]:
    """The modules that a file of this package may import, each once; `from x import y` gives x and x.y."""
    package = file.relative_to(root / PACKAGE.parent).parent.parts
    found: dict[str, None] = {}
    for statement in _import_statements(file, root):
        if isinstance(statement, ast.Import):
            found |= dict.fromkeys(name.name for name in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            above = package[: len(package) + 1 - statement.level] if statement.level else ()
            of = ".".join([*above, *([statement.module] if statement.module else [])])
            found |= dict.fromkeys([of, *(f"{of}.{name.name}" for name in statement.names)])
    return list(found)


def _import_statements(file: Path, root: Path) -> Iterable[ast.AST]:
    """The import statements of a file, and perhaps others.

    Most files have the word `import` in statements of a plain form alone. Only these are parsed then: parsing all files
    whole took a quarter of every start of Snakemake.
    """
    with suppress(FileNotFoundError, SyntaxError):  # of a line of prose that looks like a statement
        text = file.read_text(encoding="utf-8")
        statements = PLAIN_IMPORT.findall(text)
        if len(statements) == len(re.findall(r"\bimport\b", text)):
            return ast.parse("\n".join(statements)).body
    return ast.walk(_syntax(file, root))
