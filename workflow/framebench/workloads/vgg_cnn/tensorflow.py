"""The VGG-style net in TensorFlow's core API."""

import tensorflow as tf


class Net(tf.Module):
    def __init__(self, weights: dict[str, tf.Variable]) -> None:
        super().__init__()
        self.w = weights

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        x = self.conv(self.conv(x, "conv1"), "conv2")
        x = self.dropout(tf.nn.max_pool2d(x, 2, 2, padding="VALID"), 0.25, training)
        x = self.conv(self.conv(x, "conv3"), "conv4")
        x = self.dropout(tf.nn.max_pool2d(x, 2, 2, padding="VALID"), 0.25, training)
        x = tf.reshape(x, (-1, 8 * 8 * 100))
        x = tf.nn.relu(tf.matmul(x, self.w["dense1/kernel"]) + self.w["dense1/bias"])
        x = self.dropout(x, 0.5, training)
        return tf.matmul(x, self.w["dense2/kernel"]) + self.w["dense2/bias"]

    def conv(self, x: tf.Tensor, name: str) -> tf.Tensor:
        x = tf.nn.conv2d(x, self.w[f"{name}/kernel"], strides=1, padding="SAME")
        return tf.nn.relu(x + self.w[f"{name}/bias"])

    def dropout(self, x: tf.Tensor, rate: float, training: bool) -> tf.Tensor:
        return tf.nn.dropout(x, rate) if training else x
