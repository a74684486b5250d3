"""Keras or PyTorch, for my model, on my device: measure both, prove them equal, compare with an interval."""

__version__ = "0.1.0"
