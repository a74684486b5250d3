"""A pre-norm transformer encoder over tokens with learned positions."""

import keras
from keras import layers, ops

DIM, HEADS, LENGTH, VOCAB = 32, 4, 32, 500


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.token_emb = layers.Embedding(VOCAB, DIM)
        self.pos_emb = layers.Embedding(LENGTH, DIM)

    def build(self, input_shape):
        self.token_emb.build(input_shape)
        self.pos_emb.build((LENGTH,))

    def call(self, x):
        return self.token_emb(x) + self.pos_emb(ops.arange(LENGTH))


def encoder(x):
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    y = layers.MultiHeadAttention(num_heads=HEADS, key_dim=DIM // HEADS)(y, y)
    x = x + layers.Dropout(0.1)(y)
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    y = layers.Dense(4 * DIM, activation="relu")(y)
    y = layers.Dense(DIM)(y)
    return x + layers.Dropout(0.1)(y)


def build():
    inputs = keras.Input(shape=(LENGTH,), dtype="int64")
    x = TokenAndPositionEmbedding()(inputs)
    x = encoder(encoder(x))
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(4)(x))
