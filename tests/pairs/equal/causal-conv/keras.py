"""Dilated causal convolutions over a series, after WaveNet."""

import keras
from keras import layers


def block(x, dilation):
    y = layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
    return layers.add([x, layers.Conv1D(16, 1)(y)])


def build():
    inputs = keras.Input((64, 4))
    x = layers.Conv1D(16, 1)(inputs)
    for dilation in (1, 2, 4):
        x = block(x, dilation)
    return keras.Model(inputs, layers.Dense(1)(x[:, -1, :]))
