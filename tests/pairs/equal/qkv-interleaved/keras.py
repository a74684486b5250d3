"""Two layers of attention, the second of which has one projection for query, key and value by an einsum."""

import keras
from keras import layers, ops


class FusedAttention(layers.Layer):
    def __init__(self, dim, heads, **kwargs):
        super().__init__(**kwargs)
        self.head_dim = dim // heads
        self.qkv = layers.EinsumDense("bnd,dhce->bnhce", (None, heads, 3, self.head_dim), bias_axes="hce")
        self.out = layers.EinsumDense("bnhe,hed->bnd", (None, dim), bias_axes="d")

    def call(self, x):
        q, k, v = ops.unstack(self.qkv(x), axis=3)
        weights = ops.softmax(ops.einsum("bnhe,bmhe->bhnm", q, k) * self.head_dim**-0.5)
        return self.out(ops.einsum("bhnm,bmhe->bnhe", weights, v))


def build():
    inputs = keras.Input((12, 8))
    x = layers.Dense(24)(inputs)
    for attention in (layers.MultiHeadAttention(4, 6), layers.MultiHeadAttention(4, 6, use_bias=False)):
        x = layers.LayerNormalization(epsilon=1e-5)(x + attention(x, x))
    x = layers.LayerNormalization(epsilon=1e-5)(x + FusedAttention(24, 4)(x))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling1D()(x)))
