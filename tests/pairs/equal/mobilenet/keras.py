"""Depthwise and pointwise convolutions with batch norm and ReLU6, after MobileNet."""

import keras
from keras import layers


def norm_relu6(x):
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return layers.ReLU(max_value=6.0)(x)


def block(x, filters, stride):
    x = layers.ZeroPadding2D(1)(x)
    x = layers.DepthwiseConv2D(3, strides=stride, use_bias=False)(x)
    x = norm_relu6(x)
    x = layers.Conv2D(filters, 1, use_bias=False)(x)
    return norm_relu6(x)


def build():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    x = norm_relu6(x)
    x = block(x, 32, 2)
    x = block(x, 32, 1)
    x = block(x, 64, 2)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))
