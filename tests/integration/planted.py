"""Faults to plant in a framework's model or adapter, one at a time, and what is then observed.

Run inside a framework's environment as `python -P planted.py FRAMEWORK FAULTS FOLDER…`: reads, from each folder, the
problems <workload>.npz that are there and the samples to learn from, <kind>.npz, and writes into it
<framework>/<workload>/<fault>.npz for the faults named, one a line, with or without `<workload>: ` before it, or, where
there is none, for all that are known for the framework but those named after a `-`; `none` plants nothing.
Every fault goes through the real adapter: only what is named in its patches is replaced.
"""

import dataclasses
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np

from framebench import frameworks, workloads
from framebench.certify import observe
from framebench.certify import problem as given
from framebench.workloads.layers import BatchNorm, Workload

Patch = tuple[object, str, object]  # of an object, the attribute, its replacement
THREADS = 2
NONE = "none"
EPSILON = "epsilon 1e-3 of a batch norm"  # Keras's own
IN_LESSON = "of the lesson"  # ends the names of faults that are planted in learning alone


def faults(framework: str) -> Iterator[tuple[str, str, list[Patch]]]:
    """Workload, name of the fault, what to replace."""
    adapter: ModuleType = frameworks.load(framework)  # type: ignore[assignment]
    yield "article-cnn", NONE, []
    yield "vgg-cnn", NONE, []
    yield "gru-imdb", NONE, []
    yield "resnet50-features", NONE, []
    yield "article-cnn", "labels off by one", fed(adapter, labels=lambda labels: (labels + 1) % 10)
    yield "article-cnn", "BGR for RGB", fed(adapter, images=lambda images: images[..., ::-1].copy())
    yield "article-cnn", "a NaN among the images", fed(adapter, images=with_nan)
    if not framework.startswith("keras"):  # whose own epsilon is elsewhere, which is planted there
        yield "gru-imdb", "epsilon 1e-7", told(adapter, epsilon=1e-7)
    of_framework: dict[str, Callable] = {
        "pytorch": torch_faults,
        "tensorflow": tensorflow_faults,
        "jax": jax_faults,
        "keras-tensorflow": keras_faults,
        "keras-torch": keras_faults,
        "keras-jax": keras_faults,
    }
    yield from of_framework[framework](adapter)


def fed(
    adapter: ModuleType, images: Callable = lambda array: array, labels: Callable = lambda array: array
) -> list[Patch]:
    """An adapter that changes what it is fed for training."""
    feed = adapter.Trainer.feed

    def changed(self, x: np.ndarray, y: np.ndarray, input: str) -> None:
        feed(self, images(x), labels(y), input)

    return [(adapter.Trainer, "feed", changed)]


def told(adapter: ModuleType, **numbers: float) -> list[Patch]:
    """An adapter that takes other numbers of the optimizer for those of the spec."""
    init = adapter.Trainer.__init__

    def built(self, workload, *others) -> None:
        init(self, dataclasses.replace(workload, optimizer=dataclasses.replace(workload.optimizer, **numbers)), *others)

    return [(adapter.Trainer, "__init__", built)]


def mistaught(adapter: ModuleType, labels: Callable = lambda array: array, rate: float = 1) -> list[Patch]:
    """An adapter that does all as it should, but learns from other labels or at a multiple of the rate."""
    init, feed = adapter.Trainer.__init__, adapter.Trainer.feed

    def built(self, workload, weights, batch_size, *others) -> None:
        sgd = workload.optimizer
        if batch_size == given.LEARNING_BATCH_SIZE:
            sgd = dataclasses.replace(sgd, learning_rate=rate * sgd.learning_rate)
        init(self, dataclasses.replace(workload, optimizer=sgd), weights, batch_size, *others)

    def fed(self, x: np.ndarray, y: np.ndarray, input: str) -> None:
        feed(self, x, labels(y) if self.batch_size == given.LEARNING_BATCH_SIZE else y, input)

    return [(adapter.Trainer, "__init__", built), (adapter.Trainer, "feed", fed)]


def shuffled(labels: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).permutation(labels)


def with_nan(images: np.ndarray) -> np.ndarray:
    images = images.copy()
    images[0, 0, 0, 0] = np.nan
    return images


def built(adapter: ModuleType, change: Callable) -> list[Patch]:
    """An adapter that changes itself when it is built."""
    init = adapter.Trainer.__init__

    def changed(self, *arguments: object) -> None:
        init(self, *arguments)
        change(self)

    return [(adapter.Trainer, "__init__", changed)]


def torch_faults(adapter: ModuleType) -> Iterator[tuple[str, str, list[Patch]]]:
    import torch  # noqa: PLC0415
    import torch.nn.functional as F  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    article = workloads.model_file("article-cnn", "pytorch")
    pool = nn.MaxPool2d(2)

    def model(forward: Callable) -> list[Patch]:
        return [(article.Net, "forward", forward)]

    def forward(first=lambda x: x, relu2=F.relu, last=lambda x: x, pool=pool, bias1=True) -> Callable:
        def run(self, x):
            x = self.conv1(first(x))
            x = pool(F.relu(x if bias1 else x - self.conv1.bias[:, None, None]))
            x = pool(relu2(self.conv2(x)))[:, :, :6, :6]
            return last(self.dense1(torch.flatten(x, 1)))

        return run

    class Same(article.Net):
        def __init__(self) -> None:
            super().__init__()
            self.conv2.padding = 1

    def option(**options: object) -> list[Patch]:
        return built(adapter, lambda trainer: trainer.optimizer.param_groups[0].update(options))

    def summed(trainer) -> None:
        trainer.loss_fn = nn.CrossEntropyLoss(reduction="sum")

    def never_evaluates(trainer) -> None:
        trainer.model.eval = trainer.model.train

    def rate(p: float) -> list[Patch]:
        def change(trainer) -> None:
            for module in trainer.model.modules():
                if isinstance(module, nn.Dropout):
                    module.p = p

        return built(adapter, change)

    # Learning takes time, and these faults have nothing to do with the framework: so in this one only.
    yield "article-cnn", f"shuffled labels {IN_LESSON}", mistaught(adapter, labels=shuffled)
    yield "vgg-cnn", f"shuffled labels {IN_LESSON}", mistaught(adapter, labels=shuffled)
    yield "vgg-cnn", f"learning rate × 3 {IN_LESSON}", mistaught(adapter, rate=3)

    yield "article-cnn", "flatten in C, H, W order", [(Workload, "flattened_from", lambda self, dense: None)]
    yield "article-cnn", "a ReLU missing", model(forward(relu2=lambda x: x))
    yield "article-cnn", "a ReLU after the last layer", model(forward(last=F.relu))
    yield "article-cnn", "`same` for `valid`", [*model(forward()), (article, "Net", Same)]
    yield "article-cnn", "BGR for RGB in the model file", model(forward(first=lambda x: x[:, [2, 1, 0]]))
    yield "article-cnn", "average for max pooling", model(forward(pool=nn.AvgPool2d(2)))
    yield "article-cnn", "softmax applied twice", model(forward(last=lambda x: x.softmax(1)))
    yield "article-cnn", "a bias dropped", model(forward(bias1=False))
    yield "article-cnn", "learning rate × 1.01", option(lr=1.01 * 0.01)
    yield "article-cnn", "momentum dropped", option(momentum=0.0)
    yield "article-cnn", "momentum 0.901", option(momentum=0.901)
    yield "article-cnn", "Nesterov momentum", option(nesterov=True)
    yield "article-cnn", "weight decay 1e-4", option(weight_decay=1e-4)
    yield "article-cnn", "loss summed over the batch", built(adapter, summed)
    yield "vgg-cnn", "dropout left on in evaluation", built(adapter, never_evaluates)
    yield "vgg-cnn", "dropout off in training", rate(0.0)
    yield "vgg-cnn", "dropout rates 0.3", rate(0.3)

    yield from torch_inference_faults(adapter)
    yield "gru-imdb", "gates in another order", [(adapter, "_gates_swapped", lambda array: array)]

    class Wider(article.Net):
        def __init__(self) -> None:
            super().__init__()
            self.conv2 = nn.Conv2d(32, 17, 3)

    class Lacking(article.Net):
        def __init__(self) -> None:
            super().__init__()
            del self.conv2

    yield "article-cnn", "a weight of the wrong shape", [(article, "Net", Wider)]
    yield "article-cnn", "a layer missing in the model file", [(article, "Net", Lacking)]


def torch_inference_faults(adapter: ModuleType) -> Iterator[tuple[str, str, list[Patch]]]:
    import torch.nn.functional as F  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    def norms(change: Callable) -> list[Patch]:
        def changed(trainer) -> None:
            for module in trainer.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    change(module)

        return built(adapter, changed)

    resnet = workloads.model_file("resnet50-features", "pytorch")

    class Version1(resnet.Block):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride

    class WithoutShortcut(resnet.Block):
        def forward(self, x):
            for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
                x = F.relu(norm(conv(x)))
            return x

    swapped = {"moving_mean": ("running_var",), "moving_variance": ("running_mean",)}
    interchanged = adapter.NAMES | {BatchNorm: adapter.NAMES[BatchNorm] | swapped}
    yield "resnet50-features", EPSILON, norms(lambda module: setattr(module, "eps", 1e-3))
    yield (
        "resnet50-features",
        "statistics of the batch",
        built(adapter, lambda trainer: setattr(trainer.model, "eval", trainer.model.train)),
    )
    yield "resnet50-features", "mean and variance interchanged", [(adapter, "NAMES", interchanged)]
    yield "resnet50-features", "stride in the first convolution of a block", [(resnet, "Block", Version1)]
    yield "resnet50-features", "a shortcut left out", [(resnet, "Block", WithoutShortcut)]


def tensorflow_faults(adapter: ModuleType) -> Iterator[tuple[str, str, list[Patch]]]:
    import tensorflow as tf  # noqa: PLC0415

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
    # No file of this framework has shapes of its own: what it can do is to cut a weight, or to leave it unused.
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


def jax_faults(adapter: ModuleType) -> Iterator[tuple[str, str, list[Patch]]]:
    import jax  # noqa: PLC0415
    import optax  # noqa: PLC0415
    from jax import lax, nn  # noqa: PLC0415

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
    # No file of this framework has shapes of its own: what it can do is to cut a weight, or to leave it unused.
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


def keras_faults(adapter: ModuleType) -> Iterator[tuple[str, str, list[Patch]]]:
    import keras  # noqa: PLC0415
    from keras import layers  # noqa: PLC0415

    from framebench.frameworks import _keras  # noqa: PLC0415

    article = workloads.model_file("article-cnn", "keras")

    def model(
        *, relu2="relu", last=None, padding2="valid", pool=layers.MaxPooling2D, filters2=16, conv2="conv2"
    ) -> list[Patch]:
        def build() -> keras.Model:
            crop = [layers.Cropping2D(((0, 1), (0, 1)))] if padding2 == "same" else []
            return keras.Sequential(
                [
                    keras.Input((32, 32, 3)),
                    layers.Conv2D(32, 3, activation="relu", name="conv1"),
                    pool(),
                    layers.Conv2D(filters2, 3, activation=relu2, padding=padding2, name=conv2),
                    pool(),
                    *crop,
                    layers.Flatten(),
                    layers.Dense(10, activation=last, name="dense1"),
                ]
            )

        return [(article, "build", build)]

    def loss(**options: object) -> list[Patch]:
        plain = keras.losses.SparseCategoricalCrossentropy
        return [(keras.losses, "SparseCategoricalCrossentropy", lambda from_logits: plain(**options))]

    def optimizer(**options: object) -> list[Patch]:
        plain = keras.optimizers.SGD
        return [
            (
                keras.optimizers,
                "SGD",
                lambda rate, momentum: plain(**{"learning_rate": rate, "momentum": momentum, **options}),
            )
        ]

    adam = _keras._adam

    def rows_apart(spec, dense):
        return adam(spec, lambda gradient: gradient)

    def own_adam(self, adam):
        return keras.optimizers.Adam(adam.learning_rate, adam.beta_1, adam.beta_2, adam.epsilon)

    class AlwaysDropping(layers.Dropout):
        def call(self, inputs, training=False):
            return super().call(inputs, training=True)

    class NeverDropping(layers.Dropout):
        def __init__(self, rate: float) -> None:
            super().__init__(0.0)

    yield "article-cnn", "a ReLU missing", model(relu2=None)
    yield "article-cnn", "a ReLU after the last layer", model(last="relu")
    yield "article-cnn", "`same` for `valid`", model(padding2="same")
    yield "article-cnn", "average for max pooling", model(pool=lambda: layers.AveragePooling2D(2))
    yield "article-cnn", "softmax applied twice", model(last="softmax")
    yield "article-cnn", "learning rate × 1.01", optimizer(learning_rate=0.0101)
    yield "article-cnn", "momentum dropped", optimizer(momentum=0.0)
    yield "article-cnn", "Nesterov momentum", optimizer(nesterov=True)
    yield "article-cnn", "weight decay 1e-4", optimizer(weight_decay=1e-4)
    yield "article-cnn", "loss summed over the batch", loss(from_logits=True, reduction="sum")
    yield "article-cnn", "a weight of the wrong shape", model(filters2=17)
    yield "article-cnn", "a layer missing in the model file", model(conv2="convolution2")
    resnet = workloads.model_file("resnet50-features", "keras")

    def own_epsilon(x, name):
        return layers.BatchNormalization(name=name)(x)

    def padded(x, name, filters, kernel, stride=1):
        return layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)(x)

    yield "resnet50-features", EPSILON, [(resnet, "norm", own_epsilon)]
    yield "resnet50-features", "padding as TensorFlow has it", [(resnet, "conv", padded)]
    yield "gru-imdb", "epsilon where Keras has it", [(adapter.Trainer, "_optimizer", own_adam)]
    if keras.backend.backend() == "tensorflow":
        yield "gru-imdb", "rows of a gradient squared apart", [(_keras, "_adam", rows_apart)]
    yield "vgg-cnn", "dropout left on in evaluation", [(layers, "Dropout", AlwaysDropping)]
    yield "vgg-cnn", "dropout off in training", [(layers, "Dropout", NeverDropping)]


def main() -> None:
    framework, names, *folders = sys.argv[1:]
    only = [name for name in names.splitlines() if not name.startswith("-")]
    left_out = [name.removeprefix("-") for name in names.splitlines() if name.startswith("-")]
    for folder in map(Path, folders):
        for workload, name, patches in faults(framework):
            called = {name, f"{workload}: {name}"}
            named = not only or called & set(only)
            if named and not called & set(left_out) and (folder / f"{workload}.npz").exists():
                facts, arrays = observed(framework, workload, name, patches, folder)
                observe.write(folder / framework / workload / f"{name}.npz", facts, arrays)


def observed(
    framework: str, workload: str, name: str, patches: list[Patch], folder: Path
) -> tuple[observe.Facts, dict[str, np.ndarray]]:
    """What is seen of a fault, or why it cannot be run."""
    learns = name == NONE or name.endswith(IN_LESSON)
    spec = workloads.load(workload)
    with ExitStack() as planted:
        for replaced in patches:
            planted.enter_context(patch.object(*replaced))
        try:
            return observe.observe(
                frameworks.load(framework),
                spec,
                given.read_problem(folder / f"{workload}.npz"),
                given.lesson(spec, folder / f"{spec.data}.npz") if learns else None,
                THREADS,
            )
        except Exception as error:
            traceback.print_exc()
            return {"failed": observe.failure(workload, framework, error)}, {}


if __name__ == "__main__":
    main()
