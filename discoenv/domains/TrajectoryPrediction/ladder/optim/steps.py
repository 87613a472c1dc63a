"""Adam with a learning rate that is halved several times, as AutoBots are trained (Girgis et al. 2022)."""

import torch


def create_optimizer(model, config):
    """Adam with the larger ε of the paper."""
    return torch.optim.Adam(model.parameters(), lr=config["LR"], eps=1e-4)


def create_scheduler(optimizer, config):
    """Half as large after each fifth of training."""
    milestones = [round(part * config["TOTAL_STEPS"] / 5) for part in range(1, 5)]
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.5)
