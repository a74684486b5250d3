"""Faults of JAX's adapter and model files, for the tests."""

from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import jax
import optax
from jax import lax, nn

from framebench import workloads
from framebench.frameworks._planting import EPSILON, Fault, Patch

PLANTED = (
    "article-cnn: none",
    "gru-imdb: none",
    "momentum dropped",
    "a weight of the wrong shape",
    "a layer missing in the model file",
)
# Each fault is compiled anew, so one of each kind.
IN_TABLE = (
    "article-cnn: none",
    "gru-imdb: none",
    "resnet50-features: none",
    "epsilon 1e-3 of a batch norm",
    "labels off by one",
    "a weight of the wrong shape",
    "a layer missing in the model file",
    "a ReLU missing",
    "loss summed over the batch",
    "momentum dropped",
    "dropout off in training",
)


def faults(adapter: ModuleType) -> Iterator[Fault]:
    article, vgg = (workloads.model_file(name, "jax") for name in ("article-cnn", "vgg-cnn"))
    dropout = vgg.dropout

    def same(x, kernel):
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def average_pool(x):
        return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4

    def model(relu2=nn.relu, last=lambda x: x, conv2=article.conv, pool=article.max_pool, bias1=True) -> list[Patch]:
        def net(w, x):
            x = article.conv(x, w["conv1/kernel"])
            x = pool(nn.relu(x + w["conv1/bias"] if bias1 else x))
            x = pool(relu2(conv2(x, w["conv2/kernel"]) + w["conv2/bias"]))[:, :6, :6]
            x = x.reshape(len(x), -1)
            return last(x @ w["dense1/kernel"] + w["dense1/bias"])

        return [(article, "net", net)]

    def optimizer(change: Callable) -> list[Patch]:
        return [(optax, "sgd", partial(change, optax.sgd))]

    def decayed(sgd, rate, momentum):
        return optax.chain(optax.add_decayed_weights(1e-4), sgd(rate, momentum))

    def summed(logits, labels):
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).sum()

    def always(x, rate, key):
        return dropout(x, rate, jax.random.key(1) if key is None else key)

    yield "article-cnn", "a ReLU missing", model(relu2=lambda x: x)
    yield "article-cnn", "a ReLU after the last layer", model(last=nn.relu)
    yield "article-cnn", "`same` for `valid`", model(conv2=same)
    yield "article-cnn", "average for max pooling", model(pool=average_pool)
    yield "article-cnn", "softmax applied twice", model(last=nn.softmax)
    yield "article-cnn", "a bias dropped", model(bias1=False)
    yield "article-cnn", "learning rate × 1.01", optimizer(lambda sgd, rate, momentum: sgd(1.01 * rate, momentum))
    yield "article-cnn", "momentum dropped", optimizer(lambda sgd, rate, momentum: sgd(rate))
    yield "article-cnn", "Nesterov momentum", optimizer(lambda sgd, rate, momentum: sgd(rate, momentum, nesterov=True))
    yield "article-cnn", "weight decay 1e-4", optimizer(decayed)
    yield "article-cnn", "loss summed over the batch", [(adapter, "_mean_loss", summed)]
    # Files of this framework have no shapes of their own: a fault can cut a weight, or leave it unused.
    yield "article-cnn", "a weight of the wrong shape", model(conv2=lambda x, kernel: article.conv(x, kernel[..., :15]))
    yield "article-cnn", "a layer missing in the model file", model(conv2=lambda x, kernel: x[..., :16])
    yield "vgg-cnn", "dropout left on in evaluation", [(vgg, "dropout", always)]
    yield "vgg-cnn", "dropout off in training", [(vgg, "dropout", lambda x, rate, key: x)]

    resnet = workloads.model_file("resnet50-features", "jax")
    norm = resnet.norm

    def larger(w, x, name):
        variance = f"{name}/moving_variance"
        return norm({**w, variance: w[variance] + (1e-3 - 1e-5)}, x, name)

    yield "resnet50-features", EPSILON, [(resnet, "norm", larger)]


def more_work(trainer) -> None:
    """Products in training without any effect."""
    plain = trainer._logits

    def more(weights: Any, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        logits = plain(weights, x, key)
        return logits + 0 * (logits @ logits.T @ logits)

    trainer._logits = more
