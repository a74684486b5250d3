"""Samples to show to Keras on TensorFlow, and what is expected of it, for the tests."""

from framebench.frameworks.tensorflow.samples import gpu_spans, other_errors, out_of_memory

__all__ = ["gpu_spans", "other_errors", "out_of_memory"]

EXECUTION = "graph"
