"""A GRU over tokens."""

import keras
from keras import layers


def build():
    model = keras.Sequential()
    model.add(keras.Input((30,), dtype="int64"))
    model.add(layers.Embedding(400, 24))
    model.add(layers.GRU(32))
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(3))
    return model
