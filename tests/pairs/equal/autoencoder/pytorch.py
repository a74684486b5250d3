"""An autoencoder: strided convolutions to 16 numbers and back."""

import torch.nn.functional as F
from torch import nn


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc1 = nn.Conv2d(1, 8, 4, stride=2, padding=1)
        self.enc2 = nn.Conv2d(8, 16, 4, stride=2, padding=1)
        self.to_code = nn.Linear(16 * 4 * 4, 16)
        self.from_code = nn.Linear(16, 16 * 4 * 4)
        self.dec1 = nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1)
        self.dec2 = nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1)

    def forward(self, x):
        x = F.relu(self.enc2(F.relu(self.enc1(x))))
        code = self.to_code(x.flatten(1))
        x = F.relu(self.from_code(code)).view(-1, 16, 4, 4)
        return self.dec2(F.relu(self.dec1(x)))


def build():
    return Autoencoder()
