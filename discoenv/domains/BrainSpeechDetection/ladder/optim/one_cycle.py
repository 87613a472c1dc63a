"""AdamW with one cycle (Smith and Topin 2018, "Super-convergence: very fast training of neural networks")."""

import torch


def create_optimizer(model, config):
    """AdamW, whose rate and first momentum the schedule sets."""
    return torch.optim.AdamW(model.parameters(), lr=config["LR"], weight_decay=config["WEIGHT_DECAY"])


def create_scheduler(optimizer, config):
    """Up to 1.5 LR in a third of the steps, and down; momentum goes the other way."""
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.5 * config["LR"], total_steps=config["TOTAL_STEPS"] + 1, pct_start=0.3, div_factor=10.0
    )
