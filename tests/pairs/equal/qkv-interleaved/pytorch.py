"""Layers of attention whose fused projections are cut in three ways: by heads, interleaved, and by parts."""

import torch.nn.functional as F
from torch import nn


class ByHeads(nn.Module):
    def __init__(self, dim, heads, bias=True):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)

    def cut(self, x):
        b, n, d = x.shape
        return self.qkv(x).view(b, n, self.heads, 3 * d // self.heads).transpose(1, 2).chunk(3, dim=-1)

    def forward(self, x):
        return self.out(F.scaled_dot_product_attention(*self.cut(x)).transpose(1, 2).flatten(2))


class Interleaved(ByHeads):
    def cut(self, x):
        b, n, d = x.shape
        return self.qkv(x).view(b, n, d // self.heads, self.heads, 3).permute(4, 0, 3, 1, 2)


class ByParts(ByHeads):
    def cut(self, x):
        b, n, d = x.shape
        return self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 24)
        self.attention = nn.ModuleList([ByHeads(24, 4), Interleaved(24, 4, bias=False), ByParts(24, 4)])
        self.norms = nn.ModuleList([nn.LayerNorm(24) for _ in range(3)])
        self.head = nn.Linear(24, 5)

    def forward(self, x):
        x = self.embed(x)
        for attention, norm in zip(self.attention, self.norms, strict=True):
            x = norm(x + attention(x))
        return self.head(x.mean(1))


def build():
    return Net()
