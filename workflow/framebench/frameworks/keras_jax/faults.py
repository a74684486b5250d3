"""Faults of Keras on JAX, for the tests."""

from framebench.frameworks._keras.faults import faults, more_work

__all__ = ["faults", "more_work"]

# Keras on JAX compiles a GRU for minutes; the conformance suite covers it.
PLANTED = (
    "article-cnn: none",
    "momentum dropped",
    "a weight of the wrong shape",
    "a layer missing in the model file",
)
# Each fault is compiled anew, so one of each kind.
IN_TABLE = (
    "article-cnn: none",
    "gru-imdb: none",
    "resnet50-features: none",
    "epsilon 1e-3 of a batch norm",
    "labels off by one",
    "a weight of the wrong shape",
    "a layer missing in the model file",
    "momentum dropped",
)
