"""Keras in the precision of a proof and with its loss, whatever its backend and whatever a user's file sets."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE

# Settings of Keras that a user's file may change; the proof and the campaign decide them.
DECIDED = ("set_floatx", "set_dtype_policy", "set_backend", "enable_flash_attention", "disable_flash_attention")


@contextmanager
def decided(precision: str, overruled: list[str]) -> Iterator[None]:
    """Keras in this precision; a file's request for another is ignored and recorded in `overruled`."""
    originals = {name: getattr(keras.config, name) for name in DECIDED if hasattr(keras.config, name)}
    originals["set_floatx"](precision)
    originals["set_dtype_policy"](precision)
    # Some backends compute parts of float64 in float32, such as PyTorch products; there is no switch for it.
    BIT64_TO_BIT32_DTYPE["float64"] = precision
    holders = [keras.config, keras.mixed_precision, keras.backend]
    saved = [(holder, name, getattr(holder, name)) for holder in holders for name in originals if hasattr(holder, name)]
    saved.append((keras.mixed_precision, "set_global_policy", keras.mixed_precision.set_global_policy))
    for holder, name, _ in saved:

        def ignored(*args: Any, name: str = name) -> None:
            overruled.append(f"keras.config.{name}({', '.join(map(repr, args))})")

        setattr(holder, name, ignored)
    try:
        yield
    finally:
        for holder, name, original in saved:
            setattr(holder, name, original)


def loss(name: str) -> keras.losses.Loss:
    """Keras's loss of this name in problem.yaml."""
    return {
        "softmax_cross_entropy": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "mean_squared_error": keras.losses.MeanSquaredError(),
        "binary_cross_entropy": keras.losses.BinaryCrossentropy(from_logits=True),
    }[name]
