"""A small vision transformer in Keras: 4 × 4 patches, a class token, learned positions, pre-norm blocks."""

import keras
from keras import layers, ops

PATCH, WIDTH, HEADS, MLP, DEPTH = 4, 96, 3, 192, 4
DROPOUT, EPSILON = 0.1, 1e-6


class ClassTokenAndPositions(layers.Layer):
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        _, patches, width = input_shape
        self.class_token = self.add_weight(shape=(1, 1, width), initializer="zeros", name="class_token")
        normal = keras.initializers.RandomNormal(stddev=0.02)
        self.positions = self.add_weight(shape=(1, patches + 1, width), initializer=normal, name="positions")

    def call(self, x):
        token = ops.broadcast_to(self.class_token, (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1) + self.positions


def block(x, name: str):
    y = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm1")(x)
    y = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"{name}_attention")(y, y)
    x = layers.Add()([x, layers.Dropout(DROPOUT)(y)])
    y = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm2")(x)
    y = layers.Dense(MLP, activation="gelu", name=f"{name}_mlp1")(y)
    y = layers.Dense(WIDTH, name=f"{name}_mlp2")(y)
    return layers.Add()([x, layers.Dropout(DROPOUT)(y)])


def build() -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(WIDTH, PATCH, strides=PATCH, name="patches")(inputs)
    x = layers.Reshape((-1, WIDTH))(x)
    x = layers.Dropout(DROPOUT)(ClassTokenAndPositions(name="tokens")(x))
    for i in range(DEPTH):
        x = block(x, f"block{i}")
    x = layers.LayerNormalization(epsilon=EPSILON, name="norm")(x)
    return keras.Model(inputs, layers.Dense(10, name="head")(x[:, 0]), name="vit_tiny")
