"""One measurement at a time on a device, also after the holder was killed."""

import os
import signal
import stat
import subprocess
import sys
import tempfile

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
def holder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
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


def test_another_user_can_wait_for_the_device_too(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.umask(0o077)
    try:
        with lease("device-of-the-test"):
            (lock,) = tmp_path.iterdir()
            assert lock.stat().st_mode & stat.S_IROTH
    finally:
        os.umask(before)
