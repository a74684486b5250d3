"""Squeeze and excitation, with convolutions of size 1 in place of linear layers."""

from torch import nn


class SEBlock(nn.Module):
    def __init__(self, channels, ratio=4):
        super().__init__()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.excite = nn.Sequential(
            nn.Conv2d(channels, channels // ratio, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // ratio, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return x * self.excite(self.squeeze(x))


def stage(channels, filters):
    return [
        nn.Conv2d(channels, filters, 3, padding=1),
        nn.BatchNorm2d(filters),
        nn.LeakyReLU(0.1, inplace=True),
        SEBlock(filters),
        nn.AvgPool2d(2),
    ]


def build():
    return nn.Sequential(*stage(3, 16), *stage(16, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
