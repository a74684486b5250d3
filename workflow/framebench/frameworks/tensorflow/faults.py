"""Faults of TensorFlow's adapter and model files, for the tests."""

from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import tensorflow as tf

from framebench import workloads
from framebench.frameworks._planting import EPSILON, Fault, Patch

PLANTED = (
    "none",
    "a ReLU missing",
    "momentum dropped",
    "dropout off in training",
    "a weight of the wrong shape",
    "a layer missing in the model file",
)


def faults(adapter: ModuleType) -> Iterator[Fault]:
    article, vgg = (workloads.model_file(name, "tensorflow") for name in ("article-cnn", "vgg-cnn"))

    def max_pool(x):
        return tf.nn.max_pool2d(x, 2, 2, padding="VALID")

    def convolution2(x, kernel, padding="VALID"):
        return tf.nn.conv2d(x, kernel, strides=1, padding=padding)

    def model(relu2=tf.nn.relu, last=lambda x: x, conv2=convolution2, pool=max_pool, bias1=True) -> list[Patch]:
        def run(self, x, training):
            x = tf.nn.conv2d(x, self.w["conv1/kernel"], strides=1, padding="VALID")
            x = pool(tf.nn.relu(x + self.w["conv1/bias"] if bias1 else x))
            x = pool(relu2(conv2(x, self.w["conv2/kernel"]) + self.w["conv2/bias"]))[:, :6, :6]
            x = tf.reshape(x, (-1, 6 * 6 * 16))
            return last(tf.matmul(x, self.w["dense1/kernel"]) + self.w["dense1/bias"])

        return [(article.Net, "__call__", run)]

    def apply(update: Callable) -> list[Patch]:
        def changed(self, gradients) -> None:
            for w, v, g in zip(self.trained, self.velocities, gradients, strict=True):
                update(self.sgd, w, v, g)

        return [(adapter.Momentum, "apply", changed)]

    def nesterov(sgd, w, v, g) -> None:
        v.assign(sgd.momentum * v + g)
        w.assign_sub(sgd.learning_rate * (g + sgd.momentum * v))

    def faster(sgd, w, v, g) -> None:
        v.assign(sgd.momentum * v + g)
        w.assign_sub(1.01 * sgd.learning_rate * v)

    def decayed(sgd, w, v, g) -> None:
        v.assign(sgd.momentum * v + g + 1e-4 * w)
        w.assign_sub(sgd.learning_rate * v)

    def summed(logits, labels):
        return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    yield "article-cnn", "a ReLU missing", model(relu2=lambda x: x)
    yield "article-cnn", "a ReLU after the last layer", model(last=tf.nn.relu)
    yield "article-cnn", "`same` for `valid`", model(conv2=partial(convolution2, padding="SAME"))
    yield (
        "article-cnn",
        "average for max pooling",
        model(pool=lambda x: tf.nn.avg_pool2d(x, 2, 2, padding="VALID")),
    )
    yield "article-cnn", "softmax applied twice", model(last=tf.nn.softmax)
    yield "article-cnn", "a bias dropped", model(bias1=False)
    yield "article-cnn", "learning rate × 1.01", apply(faster)
    yield (
        "article-cnn",
        "momentum dropped",
        apply(lambda sgd, w, v, g: w.assign_sub(sgd.learning_rate * g)),
    )
    yield "article-cnn", "Nesterov momentum", apply(nesterov)
    yield "article-cnn", "weight decay 1e-4", apply(decayed)
    yield "article-cnn", "loss summed over the batch", [(adapter, "_mean_loss", summed)]
    always = lambda self, x, rate, training: tf.nn.dropout(x, rate)  # noqa: E731
    never = lambda self, x, rate, training: x  # noqa: E731
    # Files of this framework have no shapes of their own: a fault can cut a weight, or leave it unused.
    yield "article-cnn", "a weight of the wrong shape", model(conv2=lambda x, kernel: convolution2(x, kernel[..., :15]))
    yield "article-cnn", "a layer missing in the model file", model(conv2=lambda x, kernel: x[..., :16])
    yield "vgg-cnn", "dropout left on in evaluation", [(vgg.Net, "dropout", always)]
    yield "vgg-cnn", "dropout off in training", [(vgg.Net, "dropout", never)]

    resnet = workloads.model_file("resnet50-features", "tensorflow")
    normalised = tf.nn.batch_normalization

    def padded(self, x, name, stride=1):
        return tf.nn.conv2d(x, self.w[f"{name}/kernel"], stride, "SAME")

    def larger(x, *numbers):
        return normalised(x, *numbers[:-1], 1e-3)

    yield "resnet50-features", EPSILON, [(tf.nn, "batch_normalization", larger)]
    yield "resnet50-features", "padding as TensorFlow has it", [(resnet.Net, "conv", padded)]


def more_work(trainer) -> None:
    """Products in training without any effect."""
    plain = trainer._logits

    def more(x: tf.Tensor, training: bool) -> tf.Tensor:
        logits = plain(x, training)
        return logits + 0 * (logits @ tf.transpose(logits) @ logits) if training else logits

    trainer._logits = more
