"""A densely connected net: each layer's features stand before those it was made of."""

import torch
import torch.nn.functional as F
from torch import nn


class DenseLayer(nn.Sequential):
    def __init__(self, channels, growth):
        super().__init__(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, growth, 3, padding=1, bias=False))

    def forward(self, x):
        return torch.cat([super().forward(x), x], dim=1)


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *(DenseLayer(8 + 6 * i, 6) for i in range(3)))
        self.norm = nn.BatchNorm2d(26)
        self.classifier = nn.Linear(26, 10)

    def forward(self, x):
        return self.classifier(F.relu(self.norm(self.features(x))).mean((2, 3)))


def build():
    return DenseNet()
