"""ResNet-50 v1.5 up to its average pool in PyTorch."""

import torch
from torch import nn
from torch.nn.functional import relu


def conv(channels: int, filters: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, kernel, stride, padding=kernel // 2, bias=False)


class Block(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, filters, 1), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = conv(filters, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv3, self.bn3 = conv(filters, 4 * filters, 1), nn.BatchNorm2d(4 * filters)
        self.downsample = None
        if channels != 4 * filters:
            self.downsample = nn.Sequential(conv(channels, 4 * filters, 1, stride), nn.BatchNorm2d(4 * filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = relu(self.bn1(self.conv1(x)))
        x = relu(self.bn2(self.conv2(x)))
        return relu(self.bn3(self.conv3(x)) + shortcut)


def stage(channels: int, blocks: int, filters: int, stride: int) -> nn.Sequential:
    others = [Block(4 * filters, filters, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Block(channels, filters, stride), *others)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 64, 7, stride=2), nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(64, blocks=3, filters=64, stride=1)
        self.layer2 = stage(256, blocks=4, filters=128, stride=2)
        self.layer3 = stage(512, blocks=6, filters=256, stride=2)
        self.layer4 = stage(1024, blocks=3, filters=512, stride=2)
        self.average = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.average(x).flatten(1)
