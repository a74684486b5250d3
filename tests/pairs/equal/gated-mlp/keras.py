"""RMS norm and a gated dense layer: gate and value have one shape."""

import keras
from keras import layers

DIM, HIDDEN = 32, 48


def swiglu(x):
    gate = layers.Dense(HIDDEN, use_bias=False, activation="silu")(x)
    value = layers.Dense(HIDDEN, use_bias=False)(x)
    return layers.Dense(DIM, use_bias=False)(gate * value)


def build():
    inputs = keras.Input((20,), dtype="int64")
    x = layers.Embedding(200, DIM)(inputs)
    for _ in range(2):
        x = x + swiglu(layers.RMSNormalization(epsilon=1e-6)(x))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3)(x))
