"""Test samples for Keras on PyTorch."""

from framebench.frameworks.pytorch.samples import gpu_spans, other_errors, out_of_memory

__all__ = ["gpu_spans", "other_errors", "out_of_memory"]

EXECUTION = "eager"
UNAVAILABLE = {"gru-imdb": "jit_compile: "}
