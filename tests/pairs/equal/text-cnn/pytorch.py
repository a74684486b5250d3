"""Convolutions of several widths over tokens, each reduced to its maximum."""

import torch
import torch.nn.functional as F
from torch import nn


class TextCNN(nn.Module):
    def __init__(self, vocab=1000, dim=32, filters=16, widths=(3, 4, 5)):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim)
        self.convs = nn.ModuleList([nn.Conv1d(dim, filters, width) for width in widths])
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(filters * len(widths), 2)

    def forward(self, tokens):
        x = self.embedding(tokens).transpose(1, 2)
        x = [F.relu(conv(x)).max(dim=2).values for conv in self.convs]
        return self.fc(self.dropout(torch.cat(x, dim=1)))


def build():
    return TextCNN()
