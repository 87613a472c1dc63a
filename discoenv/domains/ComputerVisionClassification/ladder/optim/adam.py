"""Adam at a constant learning rate, without weight decay. Kingma and Ba 2015."""

import torch


def create_optimizer(model, config):
    """Every parameter alike."""
    return torch.optim.Adam(model.parameters(), lr=config["LR"])


def create_scheduler(optimizer, config):
    """The learning rate stays."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
