"""One convolution that runs three times with the same weights."""

import torch.nn.functional as F
from torch import nn


class RecurrentConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.shared = nn.Conv2d(16, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 4 * 4, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        for _ in range(3):
            x = F.max_pool2d(x + F.elu(self.shared(x)), 2)
        return self.fc(x.flatten(start_dim=1))


def build():
    return RecurrentConvNet()
