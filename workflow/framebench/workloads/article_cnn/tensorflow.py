"""The article's small net in TensorFlow's core API."""

import tensorflow as tf


class Net(tf.Module):
    def __init__(self, weights: dict[str, tf.Variable]) -> None:
        super().__init__()
        self.w = weights

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.nn.conv2d(x, self.w["conv1/kernel"], strides=1, padding="VALID")
        x = tf.nn.max_pool2d(tf.nn.relu(x + self.w["conv1/bias"]), 2, 2, padding="VALID")
        x = tf.nn.conv2d(x, self.w["conv2/kernel"], strides=1, padding="VALID")
        x = tf.nn.max_pool2d(tf.nn.relu(x + self.w["conv2/bias"]), 2, 2, padding="VALID")
        x = tf.reshape(x, (-1, 6 * 6 * 16))
        return tf.matmul(x, self.w["dense1/kernel"]) + self.w["dense1/bias"]
