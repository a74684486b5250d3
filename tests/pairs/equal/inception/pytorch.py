"""Parallel branches of equal shapes, joined along the channels."""

import torch
from torch import nn


def conv(in_channels, out_channels, size):
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, size, padding=size // 2), nn.ReLU())


class Inception(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.pool = nn.Sequential(
            nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), conv(in_channels, 16, 1)
        )
        self.five = nn.Sequential(conv(in_channels, 16, 1), conv(16, 16, 3), conv(16, 16, 3))
        self.three = nn.Sequential(conv(in_channels, 16, 1), conv(16, 16, 3))
        self.one = conv(in_channels, 16, 1)

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv(3, 16, 3)
        self.mixed1 = Inception(16)
        self.mixed2 = Inception(64)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.pool(self.stem(x))
        x = self.mixed2(self.pool(self.mixed1(x)))
        return self.fc(torch.mean(x, dim=[2, 3]))


def build():
    return Net()
