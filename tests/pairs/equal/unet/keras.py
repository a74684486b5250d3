"""A U-Net of two levels that gives the logit of each pixel."""

import keras
from keras import layers


def double_conv(x, filters):
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return layers.Conv2D(filters, 3, padding="same", activation="relu")(x)


def build():
    inputs = keras.Input((32, 32, 1))
    down1 = double_conv(inputs, 8)
    down2 = double_conv(layers.MaxPooling2D()(down1), 16)
    x = double_conv(layers.MaxPooling2D()(down2), 32)
    x = layers.Conv2DTranspose(16, 2, strides=2)(x)
    x = double_conv(layers.concatenate([x, down2]), 16)
    x = layers.Conv2DTranspose(8, 4, strides=2, padding="same")(x)
    x = double_conv(layers.concatenate([x, down1]), 8)
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))
