"""Ctrl-C ends a process once, with one line of output."""

import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.check

# Puts something away for a while after it was interrupted.
PROGRAM = """
import time
from framebench import interrupts

interrupts.end_in_a_line()
try:
    print("started", flush=True)
    time.sleep(60)
finally:
    print("putting away", flush=True)
    time.sleep(0.5)
    print("put away", flush=True)
"""


def test_the_first_interrupt_ends_a_process_in_a_line_and_a_second_does_not_disturb_it():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout and process.stderr
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "putting away\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=30)
    assert (printed, said) == ("put away\n", "interrupted\n")
    assert process.returncode


def test_other_errors_are_shown_as_ever():
    program = "from framebench import interrupts; interrupts.end_in_a_line(); 1 / 0"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert result.stderr.startswith("Traceback") and result.stderr.endswith("ZeroDivisionError: division by zero\n")
