"""Ctrl-C ends a process once, with one line of output."""

import signal
import sys
from types import FrameType, TracebackType


def happened() -> bool:
    """True once the first interrupt of `end_in_a_line` has come."""
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def end_in_a_line() -> None:
    """From now on, the first interrupt ends the current work, and further ones do not disturb the clean-up.

    An interrupt that nothing catches is reported in one line. Call it in the main thread.
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
