"""One measurement at a time on a device, also after the holder was killed."""

import signal
import subprocess
import sys

import pytest

from framebench.measure.devices.lease import lease

pytestmark = pytest.mark.check

HOLD = """
import sys
from framebench.measure.devices.lease import lease
with lease("device-of-the-test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder():
    def start():
        return subprocess.Popen(
            [sys.executable, "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    return start


def test_the_second_waits_and_says_so_until_the_first_is_done(holder):
    first = holder()
    assert first.stdout.readline() == "held\n"
    second = holder()
    assert second.stderr.readline().startswith("waiting: another measurement is running on device-of-the-test")
    first.communicate()
    assert second.stdout.readline() == "held\n"
    second.communicate()


def test_a_killed_holder_leaves_the_device_free(holder, capsys):
    first = holder()
    assert first.stdout.readline() == "held\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with lease("device-of-the-test"):
        assert "waiting" not in capsys.readouterr().err


def test_folders_for_temporary_files_make_no_second_device(holder, monkeypatch, tmp_path):
    """ROCm/rocm-systems#3120, vllm-project/vllm#2179: a lock in a folder is one for each folder."""
    first = holder()
    assert first.stdout.readline() == "held\n"
    monkeypatch.setenv("TMPDIR", str(tmp_path / "own"))
    second = holder()
    assert second.stderr.readline().startswith("waiting: ")
    first.communicate()
    assert second.stdout.readline() == "held\n"
    second.communicate()


def test_devices_are_held_apart(holder, capsys):
    first = holder()
    assert first.stdout.readline() == "held\n"
    with lease("another-device-of-the-test"):
        assert "waiting" not in capsys.readouterr().err
    first.communicate()
