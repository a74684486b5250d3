"""Learned queries that attend to a sequence, as in DETR, with a table of sines and cosines in float32."""

import keras
import numpy as np
from keras import layers, ops


def sinusoids(length, dim):
    angles = np.arange(length)[:, None] * np.exp(np.arange(0, dim, 2) * (-np.log(10000.0) / dim))
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, dim).astype("float32")


class Queries(layers.Layer):
    def __init__(self, count, dim, **kwargs):
        super().__init__(**kwargs)
        self.queries = self.add_weight(
            shape=(1, count, dim), initializer=keras.initializers.RandomNormal(stddev=1.0), name="queries"
        )

    def call(self, x):
        return ops.repeat(self.queries, ops.shape(x)[0], axis=0)


def build():
    inputs = keras.Input((16, 5))
    memory = layers.Dense(32)(inputs) + sinusoids(16, 32)
    x = Queries(4, 32)(memory)
    for _ in range(2):
        x = layers.LayerNormalization(epsilon=1e-5)(x + layers.MultiHeadAttention(2, 16)(x, x))
        x = layers.LayerNormalization(epsilon=1e-5)(x + layers.MultiHeadAttention(2, 16)(x, memory))
        y = layers.Dense(32)(layers.Dense(64, activation="gelu")(x))
        x = layers.LayerNormalization(epsilon=1e-5)(x + y)
    return keras.Model(inputs, layers.Dense(2)(x))
