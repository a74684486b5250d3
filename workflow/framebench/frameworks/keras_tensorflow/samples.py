"""Test samples for Keras on TensorFlow."""

from framebench.frameworks.tensorflow.samples import gpu_spans, other_errors, out_of_memory

__all__ = ["gpu_spans", "other_errors", "out_of_memory"]

EXECUTION = "graph"
