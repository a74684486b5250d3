"""A post-norm encoder over a series of measurements; dropout also within attention and between the dense layers."""

import keras
from keras import layers

DIM, HEADS, HIDDEN, RATE = 32, 2, 64, 0.1


def encoder_layer(x, name):
    attention = layers.MultiHeadAttention(HEADS, DIM // HEADS, dropout=RATE, name=f"{name}_attention")
    y = layers.Dropout(RATE)(attention(x, x))
    x = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm1")(x + y)
    y = layers.Dense(HIDDEN, activation="gelu", name=f"{name}_linear1")(x)
    y = layers.Dense(DIM, name=f"{name}_linear2")(layers.Dropout(RATE)(y))
    return layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm2")(x + layers.Dropout(RATE)(y))


def build():
    inputs = keras.Input((24, 8))
    x = layers.Dense(DIM, name="embed")(inputs)
    for i in range(2):
        x = encoder_layer(x, f"layer{i}")
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(5, name="classifier")(x))
