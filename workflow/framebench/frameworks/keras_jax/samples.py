"""Samples to show to Keras on JAX, and what is expected of it, for the tests."""

from framebench.frameworks.jax.samples import gpu_spans, other_errors, out_of_memory

__all__ = ["gpu_spans", "other_errors", "out_of_memory"]

EXECUTION = "compiled"
