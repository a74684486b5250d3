"""Keras or PyTorch, for my model, on my device: measure both, prove them equal, compare with an interval."""

from pathlib import Path

# In a file of its own: a new version in the code would make every certificate and every run stale.
__version__ = (Path(__file__).parent / "VERSION").read_text(encoding="utf-8").strip()
