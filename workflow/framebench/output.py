"""Output in a terminal of any encoding."""

import io
import sys


def escape_unknown() -> None:
    """From now on, stdout shows a character that its encoding lacks as an escape, as stderr does, and does not fail."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
