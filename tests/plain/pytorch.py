"""The article's small net trained in plain PyTorch: prints images/s of a window for each line read."""

import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

batch_size, threads, window_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
torch.set_num_threads(threads)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.conv2 = nn.Conv2d(32, 16, 3)
        self.pool = nn.MaxPool2d(2)
        self.dense1 = nn.Linear(16 * 6 * 6, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        return self.dense1(torch.flatten(x, 1))


batches = [(torch.rand(batch_size, 3, 32, 32), torch.randint(0, 10, (batch_size,))) for _ in range(25600 // batch_size)]
model = Net()
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def train(seconds):
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        x, y = batches[steps % len(batches)]
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
    loss.item()
    return steps * batch_size / (time.perf_counter() - start)


train(1)
print(flush=True)
for _ in sys.stdin:
    train(0.05)
    print(train(window_s), flush=True)
