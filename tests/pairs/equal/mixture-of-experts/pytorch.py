"""A dense mixture of experts, each a net of its own."""

import torch
from torch import nn


class Mixture(nn.Module):
    def __init__(self, inputs, experts, hidden, out):
        super().__init__()
        self.gate = nn.Linear(inputs, experts)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, out)) for _ in range(experts)]
        )

    def forward(self, x):
        out = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (self.gate(x).softmax(-1).unsqueeze(-1) * out).sum(1)


def build():
    return nn.Sequential(nn.Linear(16, 24), nn.ReLU(), Mixture(24, 4, 20, 12), nn.Linear(12, 1))
