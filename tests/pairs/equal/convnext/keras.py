"""ConvNeXt blocks: a wide depthwise convolution, layer norm over the channels, a learned scale."""

import keras
from keras import layers


class LayerScale(layers.Layer):
    def build(self, input_shape):
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")

    def call(self, x):
        return x * self.gamma


def block(x, dim):
    y = layers.DepthwiseConv2D(7, padding="same")(x)
    y = layers.LayerNormalization(epsilon=1e-6)(y)
    y = layers.Dense(4 * dim)(y)
    y = layers.Activation("gelu")(y)
    y = layers.Dense(dim)(y)
    return layers.Add()([x, LayerScale()(y)])


def build():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(24, 4, strides=4)(inputs)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    x = block(x, 24)
    x = block(x, 24)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    return keras.Model(inputs, layers.Dense(10)(x))
