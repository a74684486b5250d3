"""Depthwise and pointwise convolutions with batch norm and ReLU6, after MobileNet."""

from torch import nn


def conv_norm_relu6(channels, filters, kernel, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU6(),
    )


def block(channels, filters, stride):
    return nn.Sequential(
        conv_norm_relu6(channels, channels, 3, stride, groups=channels), conv_norm_relu6(channels, filters, 1)
    )


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            conv_norm_relu6(3, 16, 3), block(16, 32, 2), block(32, 32, 1), block(32, 64, 2), nn.AdaptiveAvgPool2d(1)
        )
        self.classifier = nn.Linear(64, 10)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def build():
    return MobileNet()
