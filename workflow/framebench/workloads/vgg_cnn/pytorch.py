"""The VGG-style net in PyTorch."""

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 50, 3, padding="same")
        self.conv2 = nn.Conv2d(50, 50, 3, padding="same")
        self.conv3 = nn.Conv2d(50, 100, 3, padding="same")
        self.conv4 = nn.Conv2d(100, 100, 3, padding="same")
        self.pool = nn.MaxPool2d(2)
        self.dropout25 = nn.Dropout(0.25)
        self.dropout50 = nn.Dropout(0.5)
        self.dense1 = nn.Linear(100 * 8 * 8, 512)
        self.dense2 = nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(x))
        x = self.dropout25(self.pool(F.relu(self.conv2(x))))
        x = F.relu(self.conv3(x))
        x = self.dropout25(self.pool(F.relu(self.conv4(x))))
        x = self.dropout50(F.relu(self.dense1(torch.flatten(x, 1))))
        return self.dense2(x)
