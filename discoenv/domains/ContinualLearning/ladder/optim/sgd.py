"""Stochastic gradient descent. Robbins and Monro 1951."""

import torch

#: Learning rate, relative to that of Adam.
FACTOR = 30.0


def create_optimizer(named_parameters, config):
    """All parameters alike; the decay per step is that of the base module."""
    parameters = [parameter for _, parameter in named_parameters]
    return torch.optim.SGD(parameters, lr=FACTOR * config["LR"], weight_decay=config["WEIGHT_DECAY"] / FACTOR)
