"""One convolution that runs three times with the same weights."""

import keras
from keras import layers


def build():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(inputs)
    shared = layers.Conv2D(16, 3, padding="same", name="shared")
    for _ in range(3):
        x = layers.Add()([x, layers.Activation("elu")(shared(x))])
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(10, name="fc")(x))
