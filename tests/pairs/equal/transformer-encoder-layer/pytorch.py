"""A post-norm encoder over a series of measurements, from PyTorch's own encoder layers."""

from torch import nn


class SeriesClassifier(nn.Module):
    def __init__(self, dim=32, heads=2, hidden=64, dropout=0.1):
        super().__init__()
        self.embed = nn.Linear(8, dim)
        layer = nn.TransformerEncoderLayer(dim, heads, hidden, dropout, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.classifier = nn.Linear(dim, 5)

    def forward(self, x):
        x = self.encoder(self.embed(x))
        return self.classifier(x.mean(dim=1))


def build():
    return SeriesClassifier()
