"""A causal transformer that predicts the next token; its output layer is its embedding."""

import keras
from keras import layers, ops

VOCAB, LENGTH, DIM, HEADS = 100, 16, 32, 2


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm1 = layers.LayerNormalization(epsilon=1e-5)
        self.attention = layers.MultiHeadAttention(HEADS, DIM // HEADS)
        self.norm2 = layers.LayerNormalization(epsilon=1e-5)
        self.fc = layers.Dense(4 * DIM, activation="gelu")
        self.proj = layers.Dense(DIM)

    def call(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, use_causal_mask=True)
        return x + self.proj(self.fc(self.norm2(x)))


class GPT(keras.Model):
    def __init__(self):
        super().__init__()
        self.tokens = layers.Embedding(VOCAB, DIM)
        self.positions = layers.Embedding(LENGTH, DIM)
        self.blocks = [Block(name=f"block{i}") for i in range(2)]
        self.norm = layers.LayerNormalization(epsilon=1e-5)

    def call(self, x):
        x = self.tokens(x) + self.positions(ops.arange(LENGTH))
        for block in self.blocks:
            x = block(x)
        x = self.norm(x[:, -1])
        return ops.matmul(x, ops.transpose(self.tokens.embeddings))


def build():
    model = GPT()
    model(keras.Input((LENGTH,), dtype="int64"))
    return model
