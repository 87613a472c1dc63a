"""Stochastic gradient descent at the learning rate of Adam: far too slow."""

import torch


def create_optimizer(named_parameters, config):
    """The optimiser of the parameters that may change, list of (name, torch.nn.Parameter)."""
    return torch.optim.SGD([each for _, each in named_parameters], lr=config["LR"])


def create_scheduler(optimizer, config):
    """A learning rate that stays as it is."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
