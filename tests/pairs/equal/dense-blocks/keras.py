"""A densely connected net: each layer's features stand behind those it was made of."""

import keras
from keras import layers


def norm_relu(x):
    return layers.Activation("relu")(layers.BatchNormalization(epsilon=1e-5, momentum=0.9)(x))


def build():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    for _ in range(3):
        y = layers.Conv2D(6, 3, padding="same", use_bias=False)(norm_relu(x))
        x = layers.concatenate([x, y])
    x = layers.GlobalAveragePooling2D()(norm_relu(x))
    return keras.Model(inputs, layers.Dense(10)(x))
