import os
import subprocess
import sys

import pytest

from framebench.measure import allocator

pytestmark = pytest.mark.check


def test_the_systems_allocator_needs_nothing():
    assert allocator.preload("system", sys.prefix) == {}
    allocator.check("system")


def test_a_library_that_the_environment_lacks_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lib/libtbbmalloc\.so\.2 is missing.*tbbmalloc"):
        allocator.preload("tbbmalloc", str(tmp_path))


def test_an_allocator_that_was_not_loaded_is_an_error():
    with pytest.raises(RuntimeError, match="tbbmalloc is not in effect"):
        allocator.check("tbbmalloc")


def test_a_preloaded_library_is_found_in_effect():
    # A small library of the C library's own stands in for an allocator.
    code = "from framebench.measure import allocator as a; a.LIBRARIES['x'] = ('libthread_db.so.1',); a.check('x')"
    command = [sys.executable, "-c", code]
    preloaded = os.environ | {"LD_PRELOAD": "libthread_db.so.1"}
    assert subprocess.run(command, env=preloaded, capture_output=True, check=False).returncode == 0
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_libraries_are_those_of_the_environment_that_is_measured_in(tmp_path):
    (tmp_path / "lib").mkdir()
    names = allocator.LIBRARIES["tbbmalloc"]
    for name in names:
        (tmp_path / "lib" / name).touch()
    expected = " ".join(str(tmp_path / "lib" / name) for name in names)
    assert allocator.preload("tbbmalloc", str(tmp_path)) == {"LD_PRELOAD": expected}
