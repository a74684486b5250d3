"""A dense mixture of experts, whose weights stand in one array each."""

import keras
from keras import layers, ops


class Mixture(layers.Layer):
    def __init__(self, experts, hidden, out, **kwargs):
        super().__init__(**kwargs)
        self.experts, self.hidden, self.out = experts, hidden, out
        self.gate = layers.Dense(experts, activation="softmax")

    def build(self, input_shape):
        self.gate.build(input_shape)
        self.up = self.add_weight(shape=(self.experts, input_shape[-1], self.hidden), name="up")
        self.up_bias = self.add_weight(shape=(self.experts, self.hidden), initializer="zeros", name="up_bias")
        self.down = self.add_weight(shape=(self.experts, self.hidden, self.out), name="down")
        self.down_bias = self.add_weight(shape=(self.experts, self.out), initializer="zeros", name="down_bias")

    def call(self, x):
        hidden = ops.relu(ops.einsum("bd,edh->beh", x, self.up) + self.up_bias)
        out = ops.einsum("beh,eho->beo", hidden, self.down) + self.down_bias
        return ops.sum(out * self.gate(x)[..., None], axis=1)


def build():
    return keras.Sequential(
        [keras.Input((16,)), layers.Dense(24, activation="relu"), Mixture(4, 20, 12), layers.Dense(1)]
    )
