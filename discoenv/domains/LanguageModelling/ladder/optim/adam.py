"""Adam for all parameters (Kingma & Ba 2015, Adam), with the second moment of GPT-3 (Brown et al. 2020)."""

import torch


def create_optimizers(model, config):
    """List of the optimisers that hold the model's parameters."""
    return [torch.optim.Adam(model.parameters(), lr=0.5 * config["LR"], betas=(0.9, 0.95))]
