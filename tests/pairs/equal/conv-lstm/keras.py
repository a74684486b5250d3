"""The next frame of a video by a convolutional LSTM."""

import keras
from keras import layers


def build():
    return keras.Sequential(
        [
            keras.Input((5, 8, 8, 3)),
            layers.ConvLSTM2D(6, 3, padding="same", recurrent_activation="sigmoid", unit_forget_bias=False),
            layers.Conv2D(3, 3, padding="same", activation="relu"),
            layers.Conv2D(3, 3, padding="same"),
        ]
    )
