"""An LSTM that reads 150 tokens, in PyTorch."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20_000, 64)
        self.lstm = nn.LSTM(64, 64, batch_first=True)
        # PyTorch adds two biases to every gate, and Keras one. Training both would make every step of their sum twice
        # as long, so the second stays at zero.
        nn.init.zeros_(self.lstm.bias_hh_l0).requires_grad_(False)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(64, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (last, _) = self.lstm(self.embedding(x))
        return self.head(self.dropout(last[-1]))


def build() -> nn.Module:
    return Net()
