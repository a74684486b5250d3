"""An MLP mixer: linear layers over the patches, then over the channels."""

from torch import nn

PATCH, DIM, PATCHES = 4, 64, 64


def mlp(width, hidden):
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, width))


class MixerBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_tokens = nn.LayerNorm(DIM)
        self.norm_channels = nn.LayerNorm(DIM)
        self.channel_mlp = mlp(DIM, 64)
        self.token_mlp = mlp(PATCHES, 64)

    def forward(self, x):
        x = x + self.token_mlp(self.norm_tokens(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mlp(self.norm_channels(x))


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.blocks = nn.Sequential(MixerBlock(), MixerBlock())
        self.norm = nn.LayerNorm(DIM)
        self.head = nn.Linear(DIM, 10)

    def forward(self, x):
        x = self.stem(x).flatten(2).permute(0, 2, 1)
        x = self.norm(self.blocks(x))
        return self.head(x.mean(dim=1))


def build():
    return Mixer()
