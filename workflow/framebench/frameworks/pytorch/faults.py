"""Faults of PyTorch's adapter and model files, for the tests."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from framebench import workloads
from framebench.frameworks._planting import EPSILON, Fault, Patch, built
from framebench.workloads.layers import BatchNorm, Workload

LEARNS = True
PLANTED = (
    "-resnet50-features: none",
    "-epsilon 1e-3 of a batch norm",
)


def faults(adapter: ModuleType) -> Iterator[Fault]:
    article: Any = workloads.model_file("article-cnn", "pytorch")
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


def torch_inference_faults(adapter: ModuleType) -> Iterator[Fault]:
    def norms(change: Callable) -> list[Patch]:
        def changed(trainer) -> None:
            for module in trainer.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    change(module)

        return built(adapter, changed)

    resnet: Any = workloads.model_file("resnet50-features", "pytorch")

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


def more_work(trainer) -> None:
    """Products in training without any effect."""

    def more(loss: nn.Module, given: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        logits, labels = given
        return logits + 0 * (logits @ logits.T @ logits), labels

    trainer.loss_fn.register_forward_pre_hook(more)
