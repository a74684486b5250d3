"""ResNet-50 v1.5 up to its average pool in Keras."""

import keras
from keras import layers


def conv(x: keras.KerasTensor, name: str, filters: int, kernel: int, stride: int = 1) -> keras.KerasTensor:
    if stride > 1 and kernel > 1:
        # "same" would put one zero more at the end than at the beginning.
        x = layers.ZeroPadding2D(kernel // 2)(x)
        return layers.Conv2D(filters, kernel, stride, use_bias=False, name=name)(x)
    return layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)(x)


def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=1e-5, name=name)(x)


def block(x: keras.KerasTensor, name: str, filters: int, stride: int) -> keras.KerasTensor:
    shortcut = x
    if x.shape[-1] != 4 * filters:
        shortcut = conv(x, f"{name}_downsample_0", 4 * filters, 1, stride)
        shortcut = norm(shortcut, f"{name}_downsample_1")
    x = layers.ReLU()(norm(conv(x, f"{name}_conv1", filters, 1), f"{name}_bn1"))
    x = layers.ReLU()(norm(conv(x, f"{name}_conv2", filters, 3, stride), f"{name}_bn2"))
    x = norm(conv(x, f"{name}_conv3", 4 * filters, 1), f"{name}_bn3")
    return layers.ReLU()(layers.Add()([x, shortcut]))


def stage(x: keras.KerasTensor, name: str, blocks: int, filters: int, stride: int) -> keras.KerasTensor:
    for i in range(blocks):
        x = block(x, f"{name}_{i}", filters, stride if i == 0 else 1)
    return x


def build() -> keras.Model:
    images = keras.Input((224, 224, 3))
    x = layers.ReLU()(norm(conv(images, "conv1", 64, 7, stride=2), "bn1"))
    # No value is negative here, so zeros around the image are never the largest.
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    x = stage(x, "layer1", blocks=3, filters=64, stride=1)
    x = stage(x, "layer2", blocks=4, filters=128, stride=2)
    x = stage(x, "layer3", blocks=6, filters=256, stride=2)
    x = stage(x, "layer4", blocks=3, filters=512, stride=2)
    return keras.Model(images, layers.GlobalAveragePooling2D()(x))
