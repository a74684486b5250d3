"""The measuring and the analysing side share only files: neither imports the other's dependencies."""

import ast
import re
import sys
from functools import cache, partial
from pathlib import Path

import pytest

from framebench.plan import catalogue

pytestmark = pytest.mark.check

PACKAGE = catalogue.ROOT / catalogue.PACKAGE
PROVING = PACKAGE / "prove" / "inside"
# Modules of a framework's environment besides the framework.
MEASURING = {"numpy", "psutil", "pynvml"}
# In the folder of a framework, for the tests alone.
FOR_TESTS = {
    path
    for pattern in ("_planting.py", "_samples.py", "*/faults.py", "*/samples.py")
    for path in (PACKAGE / "frameworks").glob(pattern)
}


def packages(framework: str) -> set[str]:
    """The modules of a framework's environment, by the names of the packages that its .in file asks for."""
    asked = (catalogue.ROOT / f"envs/{catalogue.adapter(framework).environment}-cpu.in").read_text(encoding="utf-8")
    names = re.findall(r"(?m)^[A-Za-z][\w.-]*", asked)
    return {name.lower().removesuffix("-cpu").replace("-", "_") for name in names}


# Every module that belongs to a framework.
FRAMEWORKS = {name for framework in catalogue.frameworks() for name in catalogue.third_party(framework)} - MEASURING


@cache
def measured() -> dict[Path, set[str]]:
    """Every file that runs under a framework's own interpreter, with the modules that all of these have."""
    found: dict[Path, set[str]] = {}
    for framework in catalogue.frameworks():
        for workload in filter(partial(catalogue.takes_part, framework), catalogue.workloads()):
            for path in {*catalogue.sources(framework, workload), *catalogue.code("framebench.certify.observe")}:
                if path.suffix == ".py":
                    file = catalogue.ROOT / path
                    found[file] = found.get(file, packages(framework)) & packages(framework)
    # Both models of a proof compute with PyTorch.
    found |= {file: packages("pytorch") for file in PROVING.glob("*.py")}
    return dict(sorted(found.items()))


def imported(path: Path) -> set[str]:
    """Top-level names of a file's imports, without the standard library's."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"framebench"}


@pytest.mark.parametrize("path", measured(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_measured_code_imports_nothing_that_its_environment_lacks(path):
    assert imported(path) <= MEASURING | measured()[path]


@pytest.mark.parametrize(
    "path",
    sorted(set(PACKAGE.rglob("*.py")) - set(measured()) - FOR_TESTS),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_analysing_code_imports_no_framework(path):
    assert not imported(path) & FRAMEWORKS


def test_a_framework_is_imported_by_its_adapter_and_its_model_files_only():
    allowed = {*(PACKAGE / "frameworks").glob("*/"), *(PACKAGE / "workloads").glob("*/"), PROVING}
    for path in measured():
        if imported(path) & FRAMEWORKS:
            assert path.parent in allowed
