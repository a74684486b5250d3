"""A regression with three hidden layers of one width."""

import keras
from keras import layers


def build():
    inputs = keras.Input(shape=(13,))
    x = layers.Dense(32, activation="tanh")(inputs)
    x = layers.Dense(32, activation="tanh")(x)
    x = layers.Dropout(0.1)(x)
    x = layers.Dense(32, activation="tanh")(x)
    outputs = layers.Dense(1)(x)
    return keras.Model(inputs, outputs)
