"""Convolutions of several widths over tokens, each reduced to its maximum."""

import keras
from keras import layers


def build():
    tokens = keras.Input((50,), dtype="int64")
    x = layers.Embedding(1000, 32)(tokens)
    branches = []
    for width in (3, 4, 5):
        y = layers.Conv1D(16, width, activation="relu")(x)
        branches.append(layers.GlobalMaxPooling1D()(y))
    x = layers.Concatenate()(branches)
    x = layers.Dropout(0.5)(x)
    return keras.Model(tokens, layers.Dense(2)(x))
