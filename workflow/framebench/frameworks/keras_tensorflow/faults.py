"""Faults of Keras on TensorFlow, for the tests."""

from framebench.frameworks._keras.faults import faults, more_work

__all__ = ["faults", "more_work"]

PLANTED = (
    "none",
    "momentum dropped",
    "epsilon where Keras has it",
    "rows of a gradient squared apart",
    "a weight of the wrong shape",
    "a layer missing in the model file",
)
