"""Adam, with a smaller learning rate within the network (Yang et al. 2022, Tensor programs V)."""

import torch


def create_optimizers(model, config):
    """List of the optimisers that hold the model's parameters."""
    hidden = [each for each in model.parameters() if each.ndim == 2 and config["VOCABULARY"] not in each.shape]
    chosen = {id(each) for each in hidden}
    groups = [
        {"params": hidden, "lr": 0.4 * config["LR"]},
        {"params": [each for each in model.parameters() if id(each) not in chosen], "lr": config["LR"]},
    ]
    return [torch.optim.Adam(groups, betas=(0.9, 0.95))]
