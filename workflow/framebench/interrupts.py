"""Ctrl-C ends a process once and in a line."""

import signal
import sys
from types import FrameType, TracebackType


def end_in_a_line() -> None:
    """From now on, the first interrupt ends what this process does, and others do not disturb that.

    It is said in a line where nothing catches it. For the main thread.
    """
    usual = sys.excepthook

    def once(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    def said(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
        else:
            usual(kind, error, trace)

    sys.excepthook = said
    signal.signal(signal.SIGINT, once)
