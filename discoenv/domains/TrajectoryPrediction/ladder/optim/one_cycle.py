"""One cycle of learning rate and momentum, twice as high (Smith & Topin 2018, Super-convergence)."""

import torch


def create_optimizer(model, config):
    """AdamW."""
    return torch.optim.AdamW(model.parameters(), lr=config["LR"], weight_decay=config["WEIGHT_DECAY"])


def create_scheduler(optimizer, config):
    """Up for three tenths of the steps, then down along a cosine; the momentum goes the other way."""
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=2.0 * config["LR"], total_steps=config["TOTAL_STEPS"] + 1, pct_start=0.3
    )
