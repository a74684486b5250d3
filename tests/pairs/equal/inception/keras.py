"""Parallel branches of equal shapes, joined along the channels."""

import keras
from keras import layers


def conv(x, filters, size):
    return layers.Conv2D(filters, size, padding="same", activation="relu")(x)


def inception(x):
    one = conv(x, 16, 1)
    three = conv(conv(x, 16, 1), 16, 3)
    five = conv(conv(conv(x, 16, 1), 16, 3), 16, 3)
    pooled = conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), 16, 1)
    return layers.Concatenate()([one, three, five, pooled])


def build():
    inputs = keras.Input((32, 32, 3))
    x = layers.MaxPooling2D()(conv(inputs, 16, 3))
    x = layers.MaxPooling2D()(inception(x))
    x = inception(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))
