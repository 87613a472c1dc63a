"""Learning rates that only fall, for each number. Duchi, Hazan and Singer 2011; Hsu et al. 2018 for such streams."""

import torch

#: Learning rate, relative to that of Adam.
FACTOR = 5.0


def create_optimizer(named_parameters, config):
    """All parameters alike."""
    return torch.optim.Adagrad([parameter for _, parameter in named_parameters], lr=FACTOR * config["LR"])
