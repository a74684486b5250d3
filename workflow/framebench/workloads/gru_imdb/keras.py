"""The GRU in Keras."""

import keras
from keras import layers


def build() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((150,), dtype="int64"),
            layers.Embedding(30_000, 125, name="embedding"),
            layers.GRU(100, name="gru"),
            layers.Dense(2, name="dense1"),
        ]
    )
