"""A pre-norm transformer encoder over tokens with learned positions."""

import torch
from torch import nn

DIM, HEADS, LENGTH, VOCAB = 32, 4, 32, 500


class EncoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
        self.linear1 = nn.Linear(DIM, 4 * DIM)
        self.linear2 = nn.Linear(4 * DIM, DIM)
        self.norm1 = nn.LayerNorm(DIM)
        self.norm2 = nn.LayerNorm(DIM)
        self.dropout1 = nn.Dropout(0.1)
        self.dropout2 = nn.Dropout(0.1)

    def forward(self, x):
        y = self.norm1(x)
        y, _ = self.self_attn(y, y, y, need_weights=False)
        x = x + self.dropout1(y)
        y = self.linear2(torch.relu(self.linear1(self.norm2(x))))
        return x + self.dropout2(y)


class TransformerClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok_emb = nn.Embedding(VOCAB, DIM)
        self.pos_emb = nn.Embedding(LENGTH, DIM)
        self.layers = nn.ModuleList([EncoderLayer() for _ in range(2)])
        self.norm = nn.LayerNorm(DIM)
        self.classifier = nn.Linear(DIM, 4)

    def forward(self, tokens):
        x = self.tok_emb(tokens) + self.pos_emb(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x)
        return self.classifier(self.norm(x).mean(dim=1))


def build():
    return TransformerClassifier()
