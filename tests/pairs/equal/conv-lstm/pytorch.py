"""The next frame of a video by a convolutional LSTM, whose gates are one convolution of frame and state together."""

import torch
from torch import nn


class ConvLSTM(nn.Module):
    def __init__(self, channels, hidden, kernel_size):
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Conv2d(channels + hidden, 4 * hidden, kernel_size, padding=kernel_size // 2)

    def forward(self, frames):
        batch, _, time, height, width = frames.shape
        h = c = frames.new_zeros(batch, self.hidden, height, width)
        for t in range(time):
            i, f, o, g = self.gates(torch.cat([frames[:, :, t], h], dim=1)).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


def build():
    return nn.Sequential(ConvLSTM(3, 6, 3), nn.Conv2d(6, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1))
