"""The ResNet of eight layers for CIFAR-10 in Keras, its batch norms trained."""

import keras
from keras import layers


def conv(x, filters: int, kernel: int, stride: int, name: str):
    if kernel == 3:
        # "same" would pad a strided convolution of an even side at the end only; PyTorch pads both ends.
        x = layers.ZeroPadding2D(1)(x)
    return layers.Conv2D(filters, kernel, strides=stride, use_bias=False, name=name)(x)


def norm(x, name: str):
    # The defaults of PyTorch: its momentum of 0.1 is Keras's 0.9.
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def block(x, filters: int, stride: int, name: str):
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = norm(conv(x, filters, 1, stride, f"{name}_shortcut_conv"), f"{name}_shortcut_norm")
    y = layers.ReLU()(norm(conv(x, filters, 3, stride, f"{name}_conv1"), f"{name}_norm1"))
    y = norm(conv(y, filters, 3, 1, f"{name}_conv2"), f"{name}_norm2")
    return layers.ReLU()(layers.Add()([shortcut, y]))


def build() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(norm(conv(inputs, 16, 3, 1, "stem_conv"), "stem_norm"))
    for i, (filters, stride) in enumerate([(16, 1), (32, 2), (64, 2)]):
        x = block(x, filters, stride, f"block{i}")
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, name="head")(x), name="resnet_tiny")
