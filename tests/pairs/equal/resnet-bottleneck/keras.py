"""Bottleneck blocks with a projected shortcut, created before the body."""

import keras
from keras import layers


def conv_bn(x, filters, kernel, strides=1):
    if kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2)(x)
    x = layers.Conv2D(filters, kernel, strides=strides, use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def bottleneck(x, filters, strides=1, project=False):
    shortcut = conv_bn(x, 2 * filters, 1, strides) if project else x
    x = layers.Activation("relu")(conv_bn(x, filters, 1))
    x = layers.Activation("relu")(conv_bn(x, filters, 3, strides))
    x = conv_bn(x, 2 * filters, 1)
    return layers.Activation("relu")(layers.Add()([shortcut, x]))


def build():
    inputs = keras.Input((32, 32, 3))
    x = layers.Activation("relu")(conv_bn(inputs, 16, 7, 2))
    x = layers.ZeroPadding2D(1)(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = bottleneck(x, 16, project=True)
    x = bottleneck(x, 16)
    x = bottleneck(x, 32, strides=2, project=True)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, name="predictions")(x))
