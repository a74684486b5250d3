"""A user's file is loaded by its path: its name hides no package, and its errors come with its own traceback."""

import sys

import pytest

from framebench.workloads.loading import UserError, at_home, model

pytestmark = pytest.mark.check


def loaded(folder, text: str):
    (folder / "keras.py").write_text(text, encoding="utf-8")
    with at_home(folder):
        return model(folder / "keras.py", "build")


def test_file_finds_its_neighbours_and_hides_no_package(tmp_path):
    (tmp_path / "blocks.py").write_text("width = 7\n", encoding="utf-8")
    (tmp_path / "yaml.py").write_text("raise ImportError('the installed one comes first')\n", encoding="utf-8")
    (tmp_path / "width.txt").write_text("8", encoding="utf-8")
    text = "import yaml\nfrom blocks import width\ndef build(): return width, int(open('width.txt').read())\n"
    assert loaded(tmp_path, text) == (7, 8)
    assert "blocks" not in sys.modules


def test_missing_function_is_named(tmp_path):
    with pytest.raises(UserError, match=r"keras\.py: has no function build\(\)"):
        loaded(tmp_path, "model = 1\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def build():\n    raise ValueError('one\\ntwo')\n", "keras.py: build() raised ValueError: one"),
        ("import sys\ndef build():\n    sys.exit(3)\n", "keras.py: build() raised SystemExit: 3"),
        ("raise RuntimeError\n", "keras.py: importing it raised RuntimeError: "),
        ("def build(:\n", "keras.py: importing it raised SyntaxError: invalid syntax"),
        ("import no_such_package\n", "keras.py: importing it raised ModuleNotFoundError: No module named"),
    ],
)
def test_error_is_one_line_with_the_users_own_traceback_below(tmp_path, text, line):
    with pytest.raises(UserError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).startswith(line.strip()) and "\n" not in str(caught.value)
    assert "keras.py" in caught.value.traceback and "loading.py" not in caught.value.traceback.split("keras.py")[1]
