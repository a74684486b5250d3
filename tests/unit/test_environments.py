"""Environments: relevant changes of a lock, and a site's own interpreters."""

import dataclasses
import os
import re
import sys
from pathlib import Path

import pytest
from test_installation import LOCK

import standin
from framebench.plan import catalogue, environments, installation

pytestmark = pytest.mark.check


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "pytorch-cpu.txt"
    path.write_text(LOCK, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [("# a comment", "# other words", False), ("aa", "cc", True), ("2.4.6", "2.4.7", True), ("    --", "  --", False)],
)
def test_the_digest_changes_with_pins_and_hashes_only(lock, old, new, changes):
    before = environments.prefix(lock)
    lock.write_text(LOCK.replace(old, new), encoding="utf-8")
    assert (environments.prefix(lock) != before) is changes


def test_the_digest_changes_with_the_python_version(lock, monkeypatch):
    before = environments.digest(lock)
    monkeypatch.setattr(environments.platform, "python_version", lambda: "3.99.0")
    assert environments.digest(lock) != before


def test_auto_follows_the_cards_that_nvml_shows_and_no_file_of_the_driver(stand_in, stand_in_libraries):
    """WSL2 and gVisor have no /proc/driver/nvidia/version: github.com/NVIDIA/nvidia-container-toolkit/issues/271."""
    auto = "from framebench.plan import environments; print(environments.packages('auto'))"
    assert stand_in.child(auto) == "cuda"
    stand_in.fault("nvmlDeviceGetHandleByIndex_v2", standin.NO_PERMISSION)
    assert stand_in.child(auto) == "cpu"
    stand_in.state.card_count = 0
    assert stand_in.child(auto) == "cpu"
    stand_in.fault("nvmlInitWithFlags", standin.LIBRARY_MISMATCH)
    assert stand_in.child(auto) == "cpu"
    assert standin.child(auto, standin.without_driver(stand_in_libraries)) == "cpu"


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_choice_of_packages_is_kept_to(kind):
    assert environments.packages(kind) == kind


@pytest.mark.parametrize("framework", catalogue.frameworks())
def test_every_framework_has_a_lock_for_each_kind_of_device(framework):
    for packages in catalogue.adapter(framework).precisions:
        assert installation.pins(environments.lock_of(framework, packages))


def test_a_sites_interpreter_is_named_by_its_packages(tmp_path):
    found = environments.site("pytorch", sys.executable, ("numpy", "psutil"), str(tmp_path))
    assert (found.python, found.prefix) == (sys.executable, sys.prefix)
    assert found.packages[0] == f"python=={sys.version.split()[0]}"
    assert any(package.startswith("numpy==") for package in found.packages)
    assert found.ready == f"{tmp_path}/environments/pytorch-{found.digest}.txt"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("echo no JSON", "is no Python that runs"),
        ("exit 1", "is no Python that runs"),
        ('echo \'{"python_version": "3.9.2"}\'', "is Python 3.9.2; 3.11 or newer is needed"),
        (
            'echo \'{"python_version": "3.12.1", "missing": ["pynvml", "torch"]}\'',
            "cannot import pynvml, torch",
        ),
    ],
)
def test_a_sites_interpreter_that_cannot_be_used_is_refused_with_the_reason(tmp_path, said, reason):
    script = tmp_path / "python3"
    script.write_text(f"#!/bin/sh\n{said}\n", encoding="utf-8")
    script.chmod(0o755)
    with pytest.raises(environments.InterpreterError, match=reason):
        environments.of("pytorch", "cpu", {"pytorch": str(script)}, "results")


def test_only_the_environment_that_is_named_is_the_sites(tmp_path):
    script = {"pytorch": str(tmp_path / "none")}
    assert environments.of("tensorflow", "cpu", script, "results").packages is None
    with pytest.raises(environments.InterpreterError, match=r"^interpreters\.pytorch: "):
        environments.of("pytorch", "cpu", script, "results")


def test_an_interpreter_is_that_of_the_named_framework_alone_or_of_all_in_the_named_environment(tmp_path):
    here = {"keras-torch": sys.executable, "pytorch": str(tmp_path / "none")}
    with pytest.raises(environments.InterpreterError, match=r"^interpreters\.keras-torch: .* cannot import"):
        environments.of("keras-torch", "cpu", here, "results")
    with pytest.raises(environments.InterpreterError, match=r"^interpreters\.pytorch: .* is no Python that runs"):
        environments.of("pytorch", "cpu", here, "results")
    del here["pytorch"]
    assert environments.of("pytorch", "cpu", here, "results").packages is None


def test_a_sites_interpreter_must_have_the_imports_of_measuring():
    assert catalogue.third_party("pytorch") == ("numpy", "psutil", "pynvml", "torch")
    assert catalogue.third_party("keras-tensorflow") == ("keras", "numpy", "psutil", "pynvml", "tensorflow")


def put(folder: Path, package: str, module: str, *requires: str) -> None:
    """Put a package that consists of this module into a folder."""
    name, version = package.split("==")
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    (about / "METADATA").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (about / "RECORD").write_text(f"{module},,\n", encoding="utf-8")
    (folder / module).parent.mkdir(exist_ok=True)
    (folder / module).touch()


def site_with(folder: Path, *packages: str, module: str = "pynvml.py", beneath: str = "") -> str:
    """A site's interpreter that has these packages before its others, each with this module, and prints `beneath`."""
    for package in packages:
        put(folder, package, module)
    # An environment of ours has its own packages before those of PYTHONPATH.
    first = f"import sys; sys.path.insert(0, {str(folder)!r}); print({beneath!r}, end='')"
    (folder / "sitecustomize.py").write_text(first, encoding="utf-8")
    script = folder / "python3"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{folder}" exec {sys.executable} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return str(script)


MODULES = ("numpy", "psutil", "pynvml")


@pytest.fixture(autouse=True)
def interpreters_are_asked_anew():
    """The folders of two tests may have one name."""
    environments.site.cache_clear()


@pytest.mark.parametrize(
    ("packages", "module", "told"),
    [
        (["nvidia-ml-py==11.525.150"], "pynvml.py", "nvidia-ml-py 11.525.150"),
        (["nvidia_ml_py==12.535.77"], "pynvml.py", "nvidia-ml-py 12.535.77"),
        (["pynvml==11.4.1"], "pynvml/__init__.py", "pynvml 11.4.1"),
        (["nvidia-ml-py3==7.352.0"], "pynvml.py", "nvidia-ml-py3 7.352.0"),
        (["nvidia-ml-py==13.580.65", "nvidia-ml-py3==7.352.0"], "pynvml.py", "nvidia-ml-py.* and nvidia-ml-py.*"),
        ([], "pynvml.py", "an unknown package"),
    ],
)
def test_a_sites_interpreter_with_an_old_or_foreign_pynvml_is_refused_with_the_version_needed(
    tmp_path, packages, module, told
):
    """Both are in images: github.com/huggingface/optimum-benchmark/issues/240, vllm-project/vllm#12904."""
    python = site_with(tmp_path, *packages, module=module)
    if not packages:
        (tmp_path / module).touch()
    with pytest.raises(environments.InterpreterError) as caught:
        environments.site("pytorch", python, MODULES, "results")
    needed = "nvidia-ml-py 12.535.108 or newer is needed in its place"
    assert re.fullmatch(f"'{python}' has the module pynvml of {told}; {needed}", str(caught.value))


@pytest.mark.parametrize("package", ["nvidia-ml-py==12.535.108", "nvidia-ml-py==13.580.65", "nvidia_ml_py==12.560.30"])
def test_a_sites_interpreter_with_nvidias_own_package_is_taken_whatever_it_prints_at_its_start(tmp_path, package):
    python = site_with(tmp_path, package, beneath="{a banner of the site}")
    assert environments.site("pytorch", python, MODULES, "results").prefix == sys.prefix


def test_a_sites_interpreter_is_asked_with_the_path_that_runs_have(tmp_path, monkeypatch):
    (tmp_path / "pynvml.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = environments.site("pytorch", sys.executable, (*MODULES, "framebench"), "results")
    assert found.python == sys.executable


def digest_with(folder: Path, *packages: tuple[str, ...]) -> str:
    """The digest of a site's interpreter for the module `net` of package net 1, which requires other packages."""
    put(folder, "net==1", "net.py", "Below[fast]>=1", 'elsewhere; python_version < "3"')
    for package, *requires in packages:
        put(folder, package, f"{package.partition('==')[0]}.py", *requires)
    found = environments.site("net", site_with(folder), ("net",), "results")
    assert packages[-1][0] in (found.packages or ())
    return found.digest


def test_the_digest_of_a_sites_interpreter_is_of_what_the_framework_depends_on(tmp_path):
    """A certificate made at home then holds on a machine that has the same framework, whatever else it has."""
    below = ("below==2", "quick; extra == 'fast'", "rare; extra == 'slow'")
    here = digest_with(tmp_path / "here", below, ("quick==3",))
    unrelated = [("rare==1",), ("elsewhere==1",), ("notebook==7",)]
    assert digest_with(tmp_path / "more", below, ("quick==3",), *unrelated) == here
    assert digest_with(tmp_path / "other", below, ("quick==4",)) != here


def test_the_digest_of_a_sites_interpreter_is_of_all_its_packages_where_a_module_belongs_to_none(tmp_path):
    (tmp_path / "built.py").touch()
    python = site_with(tmp_path)
    before = environments.site("net", python, ("built",), "results").digest
    put(tmp_path, "notebook==7", "notebook.py")
    environments.site.cache_clear()
    assert environments.site("net", python, ("built",), "results").digest != before


def test_an_interpreter_that_is_not_here_is_the_one_that_the_results_have_listed(tmp_path):
    """Results of a machine are drawn on another one, which lacks its interpreter."""
    script, results = {"pytorch": "/nowhere/bin/python3"}, str(tmp_path)
    unknown = environments.here_or_recorded("pytorch", "cpu", script, results)
    assert (unknown.ready, unknown.digest) == (None, environments.UNKNOWN)
    assert (unknown.fault or "").startswith("interpreters.pytorch: '/nowhere/bin/python3' is no Python that runs")
    there = environments.site("pytorch", sys.executable, ("numpy",), results)
    older = tmp_path / "environments" / "pytorch-0123456789ab.txt"
    older.parent.mkdir()
    for path, lines in ((older, ["# sys.prefix /older"]), (Path(there.ready or ""), there.listing)):
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    os.utime(older, (0, 0))
    found = environments.here_or_recorded("pytorch", "cpu", script, results)
    assert found == dataclasses.replace(there, python="/nowhere/bin/python3", fault=unknown.fault)


def test_a_sites_interpreter_that_fails_is_refused_with_its_own_last_words(tmp_path):
    script = tmp_path / "python3"
    script.write_text(
        "#!/bin/sh\necho 'libpython3.12.so: cannot open shared object file' >&2\nexit 127\n", encoding="utf-8"
    )
    script.chmod(0o755)
    with pytest.raises(environments.InterpreterError) as caught:
        environments.site("pytorch", str(script), MODULES, "results")
    told = f"{str(script)!r} is no Python that runs: libpython3.12.so: cannot open shared object file"
    assert str(caught.value) == told
