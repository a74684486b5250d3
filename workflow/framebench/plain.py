"""Text of other programs as plain text."""

import re

# Control sequences of ECMA-48, such as colours: Keras puts them into its error messages.
SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def plain(text: str) -> str:
    """The text in one line, without a terminal's control sequences."""
    return " ".join(SEQUENCE.sub("", text).split())
