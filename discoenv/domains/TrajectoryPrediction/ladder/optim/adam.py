"""Adam at a constant rate (Kingma & Ba 2015, Adam: a method for stochastic optimization)."""

import torch


def create_optimizer(model, config):
    """Every parameter alike, without decay of weights."""
    return torch.optim.Adam(model.parameters(), lr=config["LR"])


def create_scheduler(optimizer, config):
    """The learning rate stays."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
