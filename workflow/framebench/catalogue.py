"""Which frameworks and workloads there are, found by looking at the files, without importing any of them."""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

PACKAGE = Path("workflow/framebench")
CONSTANTS = ("LABEL", "ENVIRONMENT", "MODEL_FILE", "TRACKS")


class AdapterError(Exception):
    """An adapter that does not say what it must, in one line that names the file."""


@dataclass(frozen=True)
class Adapter:
    """What a framework's adapter declares about itself."""

    name: str
    label: str
    environment: str
    model_file: str
    tracks: tuple[str, ...]
    path: Path  # relative to the repository


@cache
def frameworks(root: Path = ROOT) -> tuple[str, ...]:
    """The frameworks that have an adapter, sorted; `frameworks/keras_tensorflow.py` is `keras-tensorflow`.

    A file that declares no LABEL is no adapter. AdapterError naming a file that is not Python.
    """
    files = sorted((root / PACKAGE / "frameworks").glob("[!_]*.py"))
    return tuple(file.stem.replace("_", "-") for file in files if "LABEL" in _constants(file, root))


@cache
def workloads(root: Path = ROOT) -> tuple[str, ...]:
    """The names in use for the folders of `workflow/framebench/workloads/` that hold a spec.py, sorted."""
    specs = sorted((root / PACKAGE / "workloads").glob("*/spec.py"))
    return tuple(spec.parent.name.replace("_", "-") for spec in specs)


@cache
def adapter(framework: str, root: Path = ROOT) -> Adapter:
    """What a framework's adapter declares; AdapterError naming the file and the constant that it lacks."""
    path = PACKAGE / "frameworks" / f"{_module(framework)}.py"
    constants = _constants(root / path, root)
    for name in CONSTANTS:
        value = constants.get(name)
        if name == "TRACKS":
            wanted = 'a tuple of track names, such as ("default",)'
            right = isinstance(value, tuple) and all(isinstance(track, str) for track in value)
        else:
            wanted = "a name in quotes"
            right = isinstance(value, str)
        if not value or not right:
            raise AdapterError(f"{path}: the constant {name} is missing or wrong; it must be {wanted}")
    label, environment, model_file, tracks = (constants[name] for name in CONSTANTS)
    return Adapter(framework, label, environment, model_file, tracks, path)


def framework_label(framework: str, root: Path = ROOT) -> str:
    """The framework's name as a reader knows it (`keras-tensorflow`: `Keras (TensorFlow)`)."""
    return adapter(framework, root).label


def spec_path(workload: str) -> Path:
    """Where a workload's spec is, relative to the repository."""
    return PACKAGE / "workloads" / _module(workload) / "spec.py"


def model_path(framework: str, workload: str, root: Path = ROOT) -> Path:
    """Where a framework's model of a workload is expected, relative to the repository."""
    return PACKAGE / "workloads" / _module(workload) / f"{adapter(framework, root).model_file}.py"


@cache
def sources(framework: str, workload: str, root: Path = ROOT) -> tuple[Path, ...]:
    """The files that measuring a workload in a framework depends on, relative to the repository, sorted.

    They are the measured world's shared code, the framework's adapter, the workload's spec, the one model
    file that the framework uses, and whatever of the package these import. Files of other frameworks are left
    out, so that a change to one framework measures only that framework again.
    """
    package = root / PACKAGE
    schema = PACKAGE.parent / "schemas" / "record.schema.json"
    files = _closure(
        [
            package / "record.py",
            *(package / "measure").glob("**/*.py"),
            *(package / "frameworks").glob("_*.py"),
            *(package / "workloads").glob("*.py"),
            root / spec_path(workload),
            root / model_path(framework, workload, root),
            root / adapter(framework, root).path,
        ],
        root,
    )
    return tuple(sorted([schema, *files]))


@cache
def certified(framework: str, workload: str, root: Path = ROOT) -> tuple[Path, ...]:
    """The files that decide what function a framework trains, relative to the repository, sorted.

    They are the workload's spec, the framework's model file and adapter, and whatever these import.
    """
    spec = root / spec_path(workload)
    return tuple(
        sorted(
            _closure(
                [spec, root / model_path(framework, workload, root), root / adapter(framework, root).path],
                root,
            )
        )
    )


@cache
def certificate_id(framework: str, workload: str, lock_digest: str, root: Path = ROOT) -> str:
    """12 hex digits that change with what a certificate proves: those files, and the framework's environment.

    A certificate has it and every record carries it; a record counts under no other certificate.
    """
    digest = hashlib.sha256(f"{framework} {workload} {lock_digest}".encode())
    for path in certified(framework, workload, root):
        digest.update(f"{path}\n".encode() + (root / path).read_bytes())
    return digest.hexdigest()[:12]


@cache
def code(command: str, root: Path = ROOT) -> tuple[Path, ...]:
    """The files of the package behind `python -m COMMAND`, relative to the repository, sorted.

    For Snakemake's `input`: it does not see by itself that a program it calls has changed.
    """
    path = root / PACKAGE.parent / command.replace(".", "/")
    entry = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    return tuple(sorted(_closure([entry], root)))


def _closure(files: list[Path], root: Path) -> set[Path]:
    """The files and all of the package that they import, directly or not, relative to the repository."""
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


def _constants(file: Path, root: Path) -> dict[str, Any]:
    """What a file binds to names at its top level; None where that is not a literal."""
    constants: dict[str, Any] = {}
    for statement in _syntax(file, root).body:
        match statement:
            case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
                try:
                    constants[name] = statement.value and ast.literal_eval(statement.value)
                except ValueError:
                    constants[name] = None
    return constants


def _imports(file: Path, root: Path) -> Iterator[Path]:
    """The files of the package that a file imports by name."""
    for statement in ast.walk(_syntax(file, root)):
        match statement:
            case ast.Import(names=names):
                modules = [name.name for name in names]
            case ast.ImportFrom(module=str(module), names=names):
                modules = [module, *(f"{module}.{name.name}" for name in names)]
            case _:
                continue
        for module in modules:
            if module.split(".")[0] == PACKAGE.name:
                path = root / PACKAGE.parent / module.replace(".", "/")
                yield from (p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file())
