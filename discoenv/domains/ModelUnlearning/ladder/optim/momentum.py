"""Stochastic gradient descent with momentum (Sutskever et al. 2013)."""

import torch


def create_optimizer(named_parameters, config):
    """The optimiser of the parameters that may change, list of (name, torch.nn.Parameter)."""
    return torch.optim.SGD([each for _, each in named_parameters], lr=30 * config["LR"], momentum=0.9)


def create_scheduler(optimizer, config):
    """The learning rate rises for a WARMUP part of TOTAL_STEPS, and falls to zero."""
    total, warmup = config["TOTAL_STEPS"], max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warmup, 1.0 - step / (total + 1)))
