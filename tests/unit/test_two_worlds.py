"""The measuring and the analysing side meet only in files: neither imports what the other needs."""

import ast
import sys
from pathlib import Path

import pytest

from framebench.plan import catalogue

pytestmark = pytest.mark.check

PACKAGE = catalogue.ROOT / catalogue.PACKAGE
FRAMEWORKS = {"tensorflow", "torch", "keras", "jax", "optax"}
# What an environment of a framework holds beside it.
MEASURING = {"numpy", "psutil", "pynvml"}


def measured() -> list[Path]:
    """Every file that runs under a framework's own interpreter."""
    pairs = [(framework, workload) for framework in catalogue.frameworks() for workload in catalogue.workloads()]
    files = {path for pair in pairs for path in catalogue.sources(*pair)}
    files |= set(catalogue.code("framebench.certify.observe"))
    return sorted(catalogue.ROOT / path for path in files if path.suffix == ".py")


def imported(path: Path) -> set[str]:
    """Top-level names of what a file imports, the standard library's left out."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"framebench"}


@pytest.mark.parametrize("path", measured(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_measured_code_imports_nothing_that_its_environment_lacks(path):
    assert imported(path) <= MEASURING | FRAMEWORKS


@pytest.mark.parametrize(
    "path",
    sorted(set(PACKAGE.rglob("*.py")) - set(measured())),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_analysing_code_imports_no_framework(path):
    assert not imported(path) & FRAMEWORKS


def test_a_framework_is_imported_by_its_adapter_and_its_model_files_only():
    allowed = {PACKAGE / "frameworks", *(PACKAGE / "workloads").glob("*/")}
    for path in measured():
        if imported(path) & FRAMEWORKS:
            assert path.parent in allowed
