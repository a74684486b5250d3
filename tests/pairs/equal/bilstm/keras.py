"""An LSTM that reads a series in both directions."""

import keras
from keras import layers


def build():
    inputs = keras.Input((24, 8))
    x = layers.Bidirectional(layers.LSTM(16))(inputs)
    x = layers.Dense(16, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(2)(x))
