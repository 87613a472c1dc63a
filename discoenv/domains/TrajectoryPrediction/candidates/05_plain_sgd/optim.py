"""Stochastic gradient descent with momentum at a constant rate (Polyak 1964)."""

import torch


def create_optimizer(model, config):
    """Every parameter alike; the learning rate is that of Adam, because gradients are clipped at 5."""
    return torch.optim.SGD(model.parameters(), lr=config["LR"], momentum=0.9)


def create_scheduler(optimizer, config):
    """The learning rate stays."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
