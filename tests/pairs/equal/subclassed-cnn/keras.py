"""A subclass of keras.Model with nested blocks."""

import keras
from keras import layers


class ConvBlock(layers.Layer):
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        self.bn = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.pool = layers.MaxPooling2D()

    def call(self, x, training=None):
        return self.pool(keras.ops.relu(self.bn(self.conv(x), training=training)))


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        # In another order than they run.
        self.classifier = layers.Dense(10)
        self.flatten = layers.Flatten()
        self.block2 = ConvBlock(16)
        self.block1 = ConvBlock(16)
        self.block0 = ConvBlock(16)
        self.hidden = layers.Dense(32, activation="relu")
        self.dropout = layers.Dropout(0.5)

    def call(self, x, training=None):
        x = self.block0(x, training=training)
        x = self.block1(x, training=training)
        x = self.block2(x, training=training)
        x = self.dropout(self.hidden(self.flatten(x)), training=training)
        return self.classifier(x)


def build():
    model = Net()
    model(keras.Input((28, 28, 1)))
    return model
