"""Faults of Keras on TensorFlow, for the tests."""

from framebench.frameworks._keras.faults import faults

__all__ = ["faults"]

PLANTED = (
    "none",
    "momentum dropped",
    "epsilon where Keras has it",
    "rows of a gradient squared apart",
    "a weight of the wrong shape",
    "a layer missing in the model file",
)
