"""An autoencoder: strided convolutions to 16 numbers and back."""

import keras
from keras import layers


def build():
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(8, 4, strides=2, padding="same", activation="relu"),
            layers.Conv2D(16, 4, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(16, name="code"),
            layers.Dense(4 * 4 * 16, activation="relu"),
            layers.Reshape((4, 4, 16)),
            layers.Conv2DTranspose(8, 4, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(1, 4, strides=2, padding="same"),
        ]
    )
