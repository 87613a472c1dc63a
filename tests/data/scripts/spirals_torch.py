"""Two spirals, in plain PyTorch: classes, functions, argparse and a main function."""

from __future__ import annotations

import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn, optim

device = torch.device("cpu")
SMOOTHING = 0.1


class Net(nn.Module):
    def __init__(self, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 2))

    def forward(self, x):
        return self.layers(x)


def load_data(n, noise):
    angles = torch.linspace(0.3, 3 * math.pi, n)
    arm = torch.stack([angles * torch.cos(angles), angles * torch.sin(angles)], dim=1) / 9
    x = torch.cat([arm, -arm]) + noise * torch.randn(2 * n, 2)
    return x.to(device), torch.cat([torch.zeros(n), torch.ones(n)]).long().to(device)


def smooth_loss(logits, labels):
    """Cross entropy with smoothed labels."""
    # Smoothing keeps the logits small.
    return F.cross_entropy(logits, labels, label_smoothing=SMOOTHING)


def augment(x): return x + args.jitter * torch.randn_like(x)


def train_epoch(model, optimizer, x, y):
    model.train()
    for index in torch.randperm(len(x)).split(args.batch_size):
        loss = smooth_loss(model(augment(x[index])), y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


@torch.no_grad()
def evaluate(model, x, y):
    model.eval()
    accuracy = (model(x).argmax(dim=1) == y).float().mean()
    return accuracy.item()


def main():
    torch.manual_seed(0)
    x, y = load_data(100, 0.02)
    test_x, test_y = load_data(100, 0.02)
    model = Net(args.hidden).to(device)
    optimizer = optim.Adam(
        model.parameters(),
        lr=args.lr,
    )
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    for epoch in range(args.epochs):
        loss = train_epoch(model, optimizer, x, y)
        scheduler.step()
    print(f"loss {loss:.4f}, accuracy {evaluate(model, test_x, test_y):.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--jitter", type=float, default=0.01)
    args = parser.parse_args([])
    main()
