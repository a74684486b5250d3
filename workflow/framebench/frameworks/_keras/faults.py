"""Faults of Keras's model files and of the adapters' shared part, for the tests."""

from collections.abc import Iterator
from types import ModuleType

import keras
from keras import layers

from framebench import workloads
from framebench.frameworks._keras import trainer
from framebench.frameworks._planting import EPSILON, Fault, Patch


def faults(adapter: ModuleType) -> Iterator[Fault]:
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

    adam = trainer._adam

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
        yield "gru-imdb", "rows of a gradient squared apart", [(trainer, "_adam", rows_apart)]
    yield "vgg-cnn", "dropout left on in evaluation", [(layers, "Dropout", AlwaysDropping)]
    yield "vgg-cnn", "dropout off in training", [(layers, "Dropout", NeverDropping)]


def more_work(trainer) -> None:
    """Products in training without any effect."""
    plain = trainer.model.compute_loss

    def more(x=None, y=None, y_pred=None, sample_weight=None, training=True):
        product = y_pred @ keras.ops.transpose(y_pred) @ y_pred
        return plain(x, y, y_pred + 0 * product if training else y_pred, sample_weight, training)

    trainer.model.compute_loss = more
