"""Frameworks and workloads are found by looking at the files, and no adapter is imported for it."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from framebench.plan import catalogue
from framebench.plan.catalogue import AdapterError

pytestmark = pytest.mark.check

WHOLE = 'LABEL = "Torch"\nENVIRONMENT = "pytorch"\nMODEL_FILE = "pytorch"\nTRACKS = ("default", "tuned")\n'
OPTIONS = 'OPTIONS = {"cpu": {"compile": (False, True)}, "cuda": {"graphs": (0, 1)}}'
WHOLE += 'COLOUR = "#0072B2"\nMARKER = "s"\n'
WHOLE += OPTIONS + '\nPRECISIONS = {"cpu": ("float32",), "cuda": ("float32", "tf32")}\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty repository to put files into."""
    for folder in ("frameworks", "workloads", "measure/devices"):
        (tmp_path / catalogue.PACKAGE / folder).mkdir(parents=True)
    return tmp_path


def write(root: Path, path: str, text: str = "") -> None:
    file = root / catalogue.PACKAGE / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_the_repository_holds_its_frameworks_and_workloads():
    assert {"jax", "keras-jax", "keras-tensorflow", "keras-torch", "pytorch", "tensorflow"} <= set(
        catalogue.frameworks()
    )
    assert {"article-cnn", "vgg-cnn"} <= set(catalogue.workloads())


def test_every_adapter_of_the_repository_declares_what_it_must_and_has_a_lock():
    for framework in catalogue.frameworks():
        adapter = catalogue.adapter(framework)
        assert adapter.label == catalogue.framework_label(framework)
        assert (catalogue.ROOT / adapter.path).is_file()
        assert "float32" in adapter.precisions["cpu"]
        assert (catalogue.ROOT / f"envs/{adapter.environment}-cpu.txt").is_file()


def test_beneath_keras_is_the_framework_of_its_environment_and_beneath_that_nothing():
    every = catalogue.frameworks()
    beneath = {framework: catalogue.beneath(framework, every) for framework in every}
    assert {"keras-jax": "jax", "keras-tensorflow": "tensorflow", "keras-torch": "pytorch"}.items() <= beneath.items()
    assert beneath["jax"] is beneath["pytorch"] is beneath["tensorflow"] is None
    assert catalogue.beneath("keras-torch", ["jax", "tensorflow"]) is None


def test_a_framework_that_takes_anothers_model_file_has_nothing_beneath(root):
    write(root, "frameworks/pytorch/adapter.py", WHOLE)
    write(root, "frameworks/slow_torch/adapter.py", WHOLE)
    assert catalogue.beneath("slow-torch", ["pytorch", "slow-torch"], root) is None


def test_no_framework_is_imported():
    script = (
        "import sys; from framebench.plan import catalogue\n"
        "for name in catalogue.frameworks(): catalogue.sources(name, 'article-cnn')\n"
        "assert not {'tensorflow', 'keras', 'torch', 'jax', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": "workflow"}, cwd=catalogue.ROOT)


def test_a_framework_is_a_folder_with_an_adapter(root):
    write(root, "frameworks/keras_torch/adapter.py", WHOLE)
    for other in ("_template/adapter.py", "contract.py", "adapter.py", "notes/inspector.py"):
        write(root, f"frameworks/{other}", WHOLE)
    assert catalogue.frameworks(root) == ("keras-torch",)


def test_a_workload_is_a_folder_with_a_spec(root):
    write(root, "workloads/gru_imdb/spec.py")
    write(root, "workloads/notes/keras.py")
    write(root, "workloads/layers.py")
    assert catalogue.workloads(root) == ("gru-imdb",)


def test_an_adapters_constants_are_read(root):
    write(root, "frameworks/torch_x/adapter.py", "import no_such_framework\n" + WHOLE)
    adapter = catalogue.adapter("torch-x", root)
    assert (adapter.name, adapter.label) == ("torch-x", "Torch")
    assert (adapter.environment, adapter.model_file) == ("pytorch", "pytorch")
    assert adapter.tracks == ("default", "tuned")
    assert adapter.options == {"cpu": {"compile": (False, True)}, "cuda": {"graphs": (0, 1)}}
    assert adapter.defaults == {"compile": False, "graphs": 0}
    assert adapter.precisions == {"cpu": ("float32",), "cuda": ("float32", "tf32")}
    assert adapter.path == Path("workflow/framebench/frameworks/torch_x/adapter.py")


@pytest.mark.parametrize("line", ["", 'COLOUR = "blue"', 'COLOUR = "#0072B"', "COLOUR = 0x0072B2"])
def test_an_adapter_must_have_a_colour(root, line):
    write(root, "frameworks/x/adapter.py", WHOLE.replace('COLOUR = "#0072B2"', line))
    with pytest.raises(AdapterError, match=r'frameworks/x/adapter\.py: the constant COLOUR .*such as "#0072B2"'):
        catalogue.adapter("x", root)


def test_every_framework_has_a_colour_and_a_marker_of_its_own():
    every = [catalogue.adapter(framework) for framework in catalogue.frameworks()]
    assert len({adapter.colour for adapter in every}) == len({adapter.marker for adapter in every}) == len(every)


def test_a_framework_takes_part_in_the_workloads_that_it_has_a_model_file_of(root):
    write(root, "frameworks/torch_x/adapter.py", WHOLE)
    write(root, "workloads/tiny/pytorch.py")
    write(root, "workloads/large/keras.py")
    assert catalogue.takes_part("torch-x", "tiny", root)
    assert not catalogue.takes_part("torch-x", "large", root)


@pytest.mark.parametrize("framework", catalogue.frameworks())
def test_no_measured_code_depends_on_what_the_tests_plant_and_show(framework):
    for path in catalogue.sources(framework, "article-cnn"):
        assert "frameworks" not in path.parts or path.name not in (
            "faults.py",
            "samples.py",
            "_planting.py",
            "_samples.py",
        )


def test_inference_has_no_use_for_the_settings_of_a_training_loop(root):
    write(root, "frameworks/x/adapter.py", WHOLE + 'TRAINING_OPTIONS = ("compile",)\n')
    adapter = catalogue.adapter("x", root)
    assert adapter.options_of("cpu", trains=True) == {"compile": (False, True)}
    assert adapter.options_of("cpu", trains=False) == {}
    assert adapter.options_of("cuda", trains=False) == {"graphs": (0, 1)}


@pytest.mark.parametrize(
    "line",
    ["", "TRACKS = ()", 'TRACKS = "default"', 'TRACKS = ["default"]', "TRACKS = tracks()", "TRACKS: tuple"],
)
def test_an_adapter_without_proper_tracks_is_named_with_the_constant(root, line):
    write(root, "frameworks/x/adapter.py", WHOLE.replace('TRACKS = ("default", "tuned")', line))
    with pytest.raises(
        AdapterError, match=r"^workflow/framebench/frameworks/x/adapter\.py: the constant TRACKS .*tuple"
    ):
        catalogue.adapter("x", root)


@pytest.mark.parametrize(
    "line", ["", "PRECISIONS = {}", 'PRECISIONS = ("float32",)', 'PRECISIONS = {"cpu": "float32"}']
)
def test_an_adapter_must_say_in_what_it_trains(root, line):
    precisions = WHOLE.splitlines()[-1]
    assert precisions.startswith("PRECISIONS")
    write(root, "frameworks/x/adapter.py", WHOLE.replace(precisions, line))
    with pytest.raises(AdapterError, match=r"frameworks/x/adapter\.py: the constant PRECISIONS .*by kind of device"):
        catalogue.adapter("x", root)


@pytest.mark.parametrize("line", ["", "OPTIONS = {}", 'OPTIONS = {"compile": (False, True)}', "OPTIONS = ('compile',)"])
def test_an_adapter_that_can_be_tuned_must_say_what_is_tried(root, line):
    write(
        root,
        "frameworks/x/adapter.py",
        WHOLE.replace(OPTIONS, line),
    )
    with pytest.raises(
        AdapterError, match=r"frameworks/x/adapter\.py: the constant OPTIONS .*settings with their values"
    ):
        catalogue.adapter("x", root)


def test_the_digest_of_the_sources_changes_with_any_of_them_and_with_no_other_file(root):
    write(root, "frameworks/torch_x/adapter.py", WHOLE)
    for model in ("spec", "pytorch", "keras"):
        write(root, f"workloads/tiny/{model}.py")
    write(root, "record.py")
    write(root, "../schemas/record.schema.json", "{}")

    def digest():
        catalogue.sources_digest.cache_clear()
        return catalogue.sources_digest("torch-x", "tiny", root)

    before = digest()
    write(root, "workloads/tiny/keras.py", "CHANGED = 1")
    assert digest() == before
    write(root, "workloads/tiny/pytorch.py", "CHANGED = 1")
    assert digest() != before


def test_line_ends_of_windows_are_no_change_of_the_sources(root):
    """magicmonty/bash-git-prompt#345, logos-co/logos-basecamp#289: other line ends made other digests."""
    write(root, "one.py", "A = 1\nB = 2\n")
    before = catalogue._digest([], [Path("one.py")], root / catalogue.PACKAGE)
    (root / catalogue.PACKAGE / "one.py").write_bytes(b"A = 1\r\nB = 2\r\n")
    assert catalogue._digest([], [Path("one.py")], root / catalogue.PACKAGE) == before


def test_another_side_of_a_framework_has_its_adapter_and_certificate_and_a_label_of_its_own(root):
    write(root, "frameworks/torch_x/adapter.py", WHOLE)
    write(root, "workloads/tiny/spec.py")
    write(root, "workloads/tiny/pytorch.py")
    assert catalogue.adapter("torch-x~again", root).path == catalogue.adapter("torch-x", root).path
    assert catalogue.framework_label("torch-x~again", root) == "Torch (again)"
    ids = {catalogue.certificate_id(name, "tiny", "d", root) for name in ("torch-x", "torch-x~again")}
    assert len(ids) == 1


@pytest.mark.parametrize("name", ["LABEL", "ENVIRONMENT", "MODEL_FILE"])
def test_an_adapter_without_a_name_is_named_with_the_constant(root, name):
    write(root, "frameworks/x/adapter.py", WHOLE.replace(f"{name} =", f"{name} = None #"))
    with pytest.raises(AdapterError, match=rf"frameworks/x/adapter\.py: the constant {name} is missing or wrong"):
        catalogue.adapter("x", root)


def test_an_adapter_that_is_not_python_is_named_with_the_line(root):
    write(root, "frameworks/x/adapter.py", "LABEL = 'X'\ndef\n")
    with pytest.raises(AdapterError, match=r"frameworks/x/adapter\.py: line 2: "):
        catalogue.adapter("x", root)


def test_a_framework_without_an_adapter_is_said_so():
    with pytest.raises(AdapterError, match=r"^workflow/framebench/frameworks/no_such/adapter\.py: does not exist$"):
        catalogue.adapter("no-such")


def test_sources_are_the_shared_code_and_one_framework_and_one_workload(root):
    mine = {
        "record.py",
        "measure/worker.py",
        "measure/devices/cpu.py",
        "frameworks/__init__.py",
        "frameworks/_loops.py",
        "frameworks/x/inspector.py",
        "workloads/layers.py",
        "workloads/a_net/spec.py",
    }
    others = (
        "frameworks/other/adapter.py",
        "frameworks/x/faults.py",
        "frameworks/_other_loops.py",
        "workloads/a_net/keras.py",
    )
    for path in (*mine, *others, "workloads/b_net/pytorch.py"):
        write(root, path)
    write(root, "measure/worker.py", "from framebench import frameworks\n")
    write(root, "frameworks/x/adapter.py", f"from framebench.frameworks._loops import loop\n{WHOLE}")
    write(root, "workloads/a_net/pytorch.py")
    expected = [catalogue.PACKAGE / path for path in (*mine, "frameworks/x/adapter.py", "workloads/a_net/pytorch.py")]
    expected.append(Path("workflow/schemas/record.schema.json"))
    assert list(catalogue.sources("x", "a-net", root)) == sorted(expected)


def test_sources_follow_imports_within_the_package(root):
    for path in ("record.py", "analyse.py", "workloads/a_net/spec.py", "frameworks/base_loop.py"):
        write(root, path)
    write(root, "workloads/a_net/pytorch.py", "import framebench.analyse\n")
    write(root, "frameworks/x/adapter.py", f"from framebench.frameworks import base_loop\nimport torch\n{WHOLE}")
    sources = catalogue.sources("x", "a-net", root)
    assert catalogue.PACKAGE / "frameworks/base_loop.py" in sources
    assert catalogue.PACKAGE / "analyse.py" in sources


def test_sources_of_the_repository_exist_and_tell_frameworks_apart():
    for framework in catalogue.frameworks():
        for workload in filter(partial(catalogue.takes_part, framework), catalogue.workloads()):
            sources = catalogue.sources(framework, workload)
            assert all((catalogue.ROOT / source).is_file() for source in sources)
            others = {catalogue.adapter(other).path for other in catalogue.frameworks()} - set(sources)
            assert catalogue.adapter(framework).path in sources
            assert others


def test_a_change_to_the_shared_keras_code_measures_keras_frameworks_alone_again():
    shared = catalogue.PACKAGE / "frameworks" / "_keras" / "trainer.py"
    for framework in catalogue.frameworks():
        assert (shared in catalogue.sources(framework, "article-cnn")) == framework.startswith("keras-")


def test_the_code_behind_a_command_is_found_through_its_imports(root):
    write(root, "figures/__main__.py", "from framebench.figures import ratio")
    write(root, "figures/ratio.py", "import math")
    write(root, "figures/memory.py")
    write(root, "answer/verdict.py", "from framebench import figures")
    write(root, "figures/__init__.py")
    package = catalogue.PACKAGE
    assert package / "figures/ratio.py" in catalogue.code("framebench.figures", root=root)
    assert package / "figures/memory.py" not in catalogue.code("framebench.figures", root=root)
    assert catalogue.code("framebench.answer.verdict", root=root) == (
        package / "answer/verdict.py",
        package / "figures/__init__.py",
    )


@pytest.mark.parametrize(
    "text",
    [
        "import framebench.one, framebench.two as second  # with a comment",
        "from framebench import (\n    one,\n    two as second,\n)",
        "from framebench import (\n    one,  # the first (of two)\n    two,\n)",
        "from framebench import one, \\\n    two",
        "first = 1; import framebench.one; from framebench import two",
        "if True: import framebench.one\ndef late():\n    from framebench import two",
        "try:\n    import framebench.one\nexcept ImportError: from . import two",
        '"""Prose:\n\nimport 3\n"""\nimport framebench.one\nimport framebench.two',
        '"""Where to import it from."""\nimport framebench.one\nimport framebench.two',
    ],
)
def test_an_import_is_found_in_whatever_form_it_is_written(root, text):
    for name in ("one.py", "two.py"):
        write(root, name)
    write(root, "entry.py", text)
    found = catalogue._closure([root / catalogue.PACKAGE / "entry.py"], root)
    assert {path.name for path in found} == {"entry.py", "one.py", "two.py"}


def test_the_imports_of_every_file_are_those_of_its_whole_syntax(monkeypatch):
    files = [path for path in (catalogue.ROOT / catalogue.PACKAGE).glob("**/*.py") if "_template" not in path.parts]
    found = {path: set(catalogue._modules(path, catalogue.ROOT)) for path in files}
    monkeypatch.setattr(catalogue, "PLAIN_IMPORT", re.compile("$^"))
    assert found == {path: set(catalogue._modules(path, catalogue.ROOT)) for path in files}


def test_relative_imports_and_the_packages_on_the_way_are_among_the_sources(root):
    write(root, "workloads/beside.py", "LIMIT = 3\n")
    for name in ("__init__.py", "pieces/__init__.py", "pieces/block.py"):
        write(root, f"workloads/net/{name}")
    write(root, "workloads/net/helper.py", "from ..beside import LIMIT\n")
    write(root, "workloads/net/entry.py", "from . import helper\nfrom .pieces import block\n")
    found = catalogue._closure([root / catalogue.PACKAGE / "workloads/net/entry.py"], root)
    assert {str(path.relative_to(catalogue.PACKAGE / "workloads")) for path in found} == {
        "beside.py",
        *(f"net/{name}" for name in ("__init__.py", "entry.py", "helper.py", "pieces/__init__.py", "pieces/block.py")),
    }
