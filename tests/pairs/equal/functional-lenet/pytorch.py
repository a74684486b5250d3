"""LeNet of functions and parameters, without a module of torch.nn."""

import torch
import torch.nn.functional as F
from torch import nn


def glorot(*shape):
    return nn.init.xavier_uniform_(torch.empty(shape))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernels = nn.ParameterDict({"conv1": glorot(8, 1, 5, 5), "conv2": glorot(16, 8, 5, 5)})
        self.matrices = nn.ParameterList([glorot(256, 32), glorot(32, 10)])
        self.biases = nn.ParameterList([torch.zeros(n) for n in (8, 16, 32, 10)])

    def forward(self, x):
        x = F.max_pool2d(F.conv2d(x, self.kernels["conv1"], self.biases[0]).relu(), 2)
        x = F.max_pool2d(F.conv2d(x, self.kernels["conv2"], self.biases[1]).relu(), 2)
        x = torch.relu(x.flatten(1) @ self.matrices[0] + self.biases[2])
        return x @ self.matrices[1] + self.biases[3]


def build():
    return LeNet()
