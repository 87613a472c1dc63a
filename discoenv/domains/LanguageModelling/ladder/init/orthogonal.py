"""Orthogonal matrices (Saxe et al. 2014, Exact solutions to the dynamics of learning), and a head of zeros."""

import torch
from torch import nn


def initialise(model, config):
    """Set the parameters of a new network, in place."""
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight)
                if name.split(".")[-1] == "head":
                    nn.init.zeros_(module.weight)
