"""ResNet-50 v1.5 up to its average pool in TensorFlow's core API."""

import tensorflow as tf


class Net(tf.Module):
    def __init__(self, weights: dict[str, tf.Variable]) -> None:
        super().__init__()
        self.w = weights

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.nn.relu(self.norm(self.conv(x, "conv1", stride=2), "bn1"))
        # No value is negative here, so zeros around the image are never the largest.
        x = tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
        x = self.stage(x, "layer1", blocks=3, stride=1)
        x = self.stage(x, "layer2", blocks=4, stride=2)
        x = self.stage(x, "layer3", blocks=6, stride=2)
        x = self.stage(x, "layer4", blocks=3, stride=2)
        return tf.reduce_mean(x, [1, 2])

    def stage(self, x: tf.Tensor, name: str, blocks: int, stride: int) -> tf.Tensor:
        x = self.block(x, f"{name}.0", stride, projects=True)
        for i in range(1, blocks):
            x = self.block(x, f"{name}.{i}", 1, projects=False)
        return x

    def block(self, x: tf.Tensor, name: str, stride: int, projects: bool) -> tf.Tensor:
        shortcut = x
        if projects:
            shortcut = self.norm(self.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        x = tf.nn.relu(self.norm(self.conv(x, f"{name}.conv1"), f"{name}.bn1"))
        x = tf.nn.relu(self.norm(self.conv(x, f"{name}.conv2", stride), f"{name}.bn2"))
        return tf.nn.relu(self.norm(self.conv(x, f"{name}.conv3"), f"{name}.bn3") + shortcut)

    def conv(self, x: tf.Tensor, name: str, stride: int = 1) -> tf.Tensor:
        kernel = self.w[f"{name}/kernel"]
        # "SAME" would put one zero more at the end than at the beginning if there is a stride.
        around = kernel.shape[0] // 2
        return tf.nn.conv2d(x, kernel, stride, [[0, 0], [around, around], [around, around], [0, 0]])

    def norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        gamma, beta, mean, variance = (
            self.w[f"{name}/{weight}"] for weight in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        # In mixed precision these stay in float32, and so do computations with them.
        exact = tf.nn.batch_normalization(tf.cast(x, gamma.dtype), mean, variance, beta, gamma, 1e-5)
        return tf.cast(exact, x.dtype)
