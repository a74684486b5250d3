"""The files of a new framework are those of the template under another name."""

import ast
import shutil
import sys
from pathlib import Path

import pytest

from framebench.plan import catalogue, new_framework
from framebench.plan.new_framework import RefusedError

pytestmark = pytest.mark.check


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the files beside which a new framework is made."""
    for folder in (catalogue.PACKAGE / "frameworks", catalogue.PACKAGE / "workloads", Path("envs")):
        shutil.copytree(catalogue.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_its_files_are_added_and_no_other_is_changed(root):
    before = contents(root)
    made = new_framework.make("my-net", root)
    after = contents(root)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {root / path for path in made.values()}
    assert made["model.py"] == Path("workflow/framebench/workloads/article_cnn/my_net.py")
    assert made["environment.in"] == Path("envs/my_net-cpu.in")


def test_the_catalogue_finds_it_in_a_colour_of_its_own(root):
    for name in ("my-net", "net2"):
        new_framework.make(name, root)
        catalogue.frameworks.cache_clear()
    assert {"my-net", "net2"} < set(catalogue.frameworks(root))
    every = [catalogue.adapter(name, root) for name in catalogue.frameworks(root)]
    assert len({one.colour for one in every}) == len({one.marker for one in every}) == len(every)
    own = catalogue.adapter("my-net", root)
    assert (own.label, own.environment, own.model_file) == ("my-net", "my_net", "my_net")
    assert catalogue.takes_part("my-net", "article-cnn", root)
    assert not catalogue.takes_part("my-net", "vgg-cnn", root)


def test_nothing_of_the_template_is_left_in_its_name(root):
    for path in new_framework.make("my-net", root).values():
        text = (root / path).read_text(encoding="utf-8")
        assert "template" not in text.lower().replace("`template", "")
        if path.suffix == ".py":
            ast.parse(text)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "'' is no name"),
        ("My-Net", "'My-Net' is no name"),
        ("my--net", "'my--net' is no name"),
        ("../net", "'../net' is no name"),
        ("class", "'class' is no name"),
        ("jax", "'jax' cannot be made: workflow/framebench/frameworks/jax exists"),
        ("keras", "'keras' cannot be made: workflow/framebench/workloads/article_cnn/keras.py exists"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(root, name, reason, monkeypatch):
    before = contents(root)
    with pytest.raises(RefusedError, match=reason):
        new_framework.make(name, root)
    monkeypatch.setattr(sys, "argv", ["new_framework", name])
    with pytest.raises(SystemExit, match=reason):
        new_framework.main()
    assert contents(root) == before


def test_the_template_is_no_framework():
    assert not [name for name in catalogue.frameworks() if "template" in name]
