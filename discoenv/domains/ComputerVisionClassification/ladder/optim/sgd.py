"""Stochastic gradient descent at a constant learning rate. Robbins and Monro 1951."""

import torch

#: Learning rate, relative to that of Adam.
FACTOR = 30.0


def create_optimizer(model, config):
    """Every parameter alike; the decay per step is that of the base module."""
    return torch.optim.SGD(model.parameters(), lr=FACTOR * config["LR"], weight_decay=config["WEIGHT_DECAY"] / FACTOR)


def create_scheduler(optimizer, config):
    """The learning rate stays."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
