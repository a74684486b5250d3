"""A GRU over tokens."""

from torch import nn


class GRUClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(400, 24)
        self.rnn = nn.GRU(24, 32, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(32, 3)

    def forward(self, x):
        out, _ = self.rnn(self.emb(x))
        return self.fc(self.drop(out[:, -1]))


def build():
    return GRUClassifier()
