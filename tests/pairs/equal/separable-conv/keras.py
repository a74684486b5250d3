"""Separable convolutions, one layer each in Keras."""

import keras
from keras import layers


def build():
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.SeparableConv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(32, 3, padding="same", activation="relu"),
            layers.SeparableConv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.GlobalMaxPooling2D(),
            layers.Dense(10),
        ]
    )
