"""A decoder that enlarges by bilinear and nearest interpolation and adds, after feature pyramids."""

import torch.nn.functional as F
from torch import nn


class FPN(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(3, 16, 3, padding=1)
        self.c2 = nn.Conv2d(16, 16, 3, padding=1)
        self.c3 = nn.Conv2d(16, 16, 3, padding=1)
        self.lateral1 = nn.Conv2d(16, 16, 1)
        self.lateral2 = nn.Conv2d(16, 16, 1)
        self.mask = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, x):
        c1 = F.relu(self.c1(x))
        c2 = F.relu(self.c2(F.max_pool2d(c1, 2)))
        c3 = F.relu(self.c3(F.max_pool2d(c2, 2)))
        p2 = self.lateral2(c2) + F.interpolate(c3, scale_factor=2, mode="bilinear", align_corners=False)
        p1 = self.lateral1(c1) + F.interpolate(p2, scale_factor=2, mode="nearest")
        return self.mask(p1)


def build():
    return FPN()
