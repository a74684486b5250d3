"""A U-Net of two levels that gives the logit of each pixel."""

import torch
from torch import nn


class DoubleConv(nn.Sequential):
    def __init__(self, in_channels, out_channels):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.down1 = DoubleConv(1, 8)
        self.down2 = DoubleConv(8, 16)
        self.bottom = DoubleConv(16, 32)
        self.up2 = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.conv2 = DoubleConv(32, 16)
        # Padding 1 cuts a kernel of 4 as "same" does in Keras.
        self.up1 = nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1)
        self.conv1 = DoubleConv(16, 8)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        down1 = self.down1(x)
        down2 = self.down2(self.pool(down1))
        x = self.up2(self.bottom(self.pool(down2)))
        x = self.conv2(torch.cat([x, down2], dim=1))
        x = self.conv1(torch.cat([self.up1(x), down1], dim=1))
        return self.out(x)


def build():
    return UNet()
