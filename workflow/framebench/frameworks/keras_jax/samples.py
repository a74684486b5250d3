"""Test samples for Keras on JAX."""

from framebench.frameworks.jax.samples import gpu_spans, other_errors, out_of_memory

__all__ = ["gpu_spans", "other_errors", "out_of_memory"]

EXECUTION = "compiled"
