"""Text files and the output of processes are UTF-8 in any locale: Textualize/rich#212, zulip/zulip#7131.

The linter's rule (PLW1514) sees a file only where it knows the type, and no process.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from framebench.plan import catalogue

pytestmark = pytest.mark.check

FILES = ("open", "fdopen", "read_text", "write_text", "whole")
BINARY = ("rb", "wb", "ab")
OTHERS = ("os", "zipfile", "tarfile")  # their `open` opens no text


def without(path: Path) -> Iterator[str]:
    """The calls of a module that read or write text in the locale's encoding."""
    for call in ast.walk(ast.parse(path.read_bytes())):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        module = getattr(getattr(call.func, "value", None), "id", "")
        words = {word.arg for word in call.keywords}
        process = any(word.arg == "text" and ast.unparse(word.value) == "True" for word in call.keywords)
        texts = {
            node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        opens = name in FILES and not texts & set(BINARY) and (module not in OTHERS or name == "fdopen")
        if (opens or process) and not words & {"encoding", None}:
            yield f"{path.name}:{call.lineno}: {ast.unparse(call)}"


@pytest.mark.parametrize("line", ["path.read_text()", "path.open('w')", "os.fdopen(0)", "subprocess.run(a, text=True)"])
def test_a_call_without_an_encoding_is_found(tmp_path, line):
    (tmp_path / "one.py").write_text(line, encoding="utf-8")
    assert list(without(tmp_path / "one.py"))


def test_every_text_file_and_process_of_the_package_names_its_encoding():
    package = catalogue.ROOT / catalogue.PACKAGE
    assert [call for path in sorted(package.rglob("*.py")) for call in without(path)] == []
