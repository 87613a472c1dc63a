"""Gradient descent with momentum (Sutskever et al. 2013, On the importance of initialization and momentum)."""

import torch


def create_optimizers(model, config):
    """List of the optimisers that hold the model's parameters."""
    return [torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9, nesterov=True)]
