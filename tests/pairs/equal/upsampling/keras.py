"""A decoder that enlarges by bilinear and nearest interpolation and adds, after feature pyramids."""

import keras
from keras import layers


def build():
    inputs = keras.Input((32, 32, 3))
    c1 = layers.Conv2D(16, 3, padding="same", activation="relu", name="c1")(inputs)
    c2 = layers.Conv2D(16, 3, padding="same", activation="relu", name="c2")(layers.MaxPooling2D()(c1))
    c3 = layers.Conv2D(16, 3, padding="same", activation="relu", name="c3")(layers.MaxPooling2D()(c2))
    p2 = layers.Add()([layers.UpSampling2D(2, interpolation="bilinear")(c3), layers.Conv2D(16, 1, name="l2")(c2)])
    p1 = layers.Add()([layers.UpSampling2D(2, interpolation="nearest")(p2), layers.Conv2D(16, 1, name="l1")(c1)])
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same", name="mask")(p1))
