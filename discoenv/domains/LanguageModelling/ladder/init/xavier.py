"""Uniform, by inputs and outputs (Glorot & Bengio 2010, Understanding the difficulty of training deep networks)."""

import torch
from torch import nn


def initialise(model, config):
    """Set the parameters of a new network, in place."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
