"""Stochastic gradient descent with momentum at a constant learning rate."""

import torch


def create_optimizer(model, config):
    """Every parameter alike; the learning rate is ten times that of Adam."""
    return torch.optim.SGD(
        model.parameters(), lr=10.0 * config["LR"], momentum=0.9, weight_decay=config["WEIGHT_DECAY"] / 10.0
    )


def create_scheduler(optimizer, config):
    """The learning rate stays."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
