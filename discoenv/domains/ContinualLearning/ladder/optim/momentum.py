"""Stochastic gradient descent with Nesterov momentum. Sutskever et al. 2013."""

import torch

#: Learning rate, relative to that of Adam.
FACTOR = 10.0


def create_optimizer(named_parameters, config):
    """All parameters alike; the decay per step is that of the base module."""
    return torch.optim.SGD(
        [parameter for _, parameter in named_parameters],
        lr=FACTOR * config["LR"],
        momentum=0.9,
        nesterov=True,
        weight_decay=config["WEIGHT_DECAY"] / FACTOR,
    )
