"""Attention over patches of an image, post-norm."""

import keras
from keras import layers

DIM, HEADS, PATCH = 48, 4, 8


class Positions(layers.Layer):
    def build(self, input_shape):
        self.embedding = self.add_weight(shape=input_shape[1:], initializer="random_normal")

    def call(self, x):
        return x + self.embedding


def block(x):
    y = layers.MultiHeadAttention(HEADS, DIM // HEADS)(x, x)
    x = layers.LayerNormalization(epsilon=1e-6)(layers.add([x, y]))
    y = layers.Dense(2 * DIM, activation="gelu")(x)
    y = layers.Dense(DIM)(y)
    return layers.LayerNormalization(epsilon=1e-6)(layers.add([x, y]))


def build():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(DIM, PATCH, strides=PATCH)(inputs)
    x = layers.Reshape((16, DIM))(x)
    x = Positions()(x)
    x = block(x)
    x = block(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))
