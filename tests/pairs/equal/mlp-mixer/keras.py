"""An MLP mixer: dense layers over the patches, then over the channels."""

import keras
from keras import layers

PATCH, DIM, PATCHES = 4, 64, 64


def mlp(x, hidden, out):
    x = layers.Dense(hidden, activation="gelu")(x)
    x = layers.Dropout(0.1)(x)
    return layers.Dense(out)(x)


def mixer(x):
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    y = layers.Permute((2, 1))(y)
    y = mlp(y, 64, PATCHES)
    y = layers.Permute((2, 1))(y)
    x = layers.Add()([x, y])
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    y = mlp(y, 64, DIM)
    return layers.Add()([x, y])


def build():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(DIM, PATCH, strides=PATCH)(inputs)
    x = layers.Reshape((PATCHES, DIM))(x)
    x = mixer(x)
    x = mixer(x)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))
