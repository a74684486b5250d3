"""Two LSTMs, one above the other, that forecast one value."""

import keras
from keras import layers


def build():
    return keras.Sequential(
        [
            keras.Input((40, 6)),
            layers.LSTM(24, return_sequences=True),
            layers.Dropout(0.2),
            layers.LSTM(24),
            layers.Dense(1),
        ]
    )
