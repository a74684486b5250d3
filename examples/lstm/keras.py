"""An LSTM that reads 150 tokens, in Keras."""

import keras
from keras import layers


def build() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((150,), dtype="int64"),
            layers.Embedding(20_000, 64, name="embedding"),
            layers.LSTM(64, name="lstm"),
            layers.Dropout(0.5),
            layers.Dense(2, name="head"),
        ]
    )
