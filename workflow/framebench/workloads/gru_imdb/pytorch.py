"""The GRU in PyTorch."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30_000, 125)
        self.gru = nn.GRU(125, 100, batch_first=True)
        self.dense1 = nn.Linear(100, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, last = self.gru(self.embedding(x))
        return self.dense1(last[0])
