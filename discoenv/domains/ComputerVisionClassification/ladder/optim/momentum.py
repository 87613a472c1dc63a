"""Nesterov momentum, and a learning rate that falls along a cosine. Sutskever et al. 2013."""

import math

import torch

#: Learning rate, relative to that of Adam.
FACTOR = 10.0


def create_optimizer(model, config):
    """Every parameter alike; the decay per step is that of the base module."""
    return torch.optim.SGD(
        model.parameters(),
        lr=FACTOR * config["LR"],
        momentum=0.9,
        nesterov=True,
        weight_decay=config["WEIGHT_DECAY"] / FACTOR,
    )


def create_scheduler(optimizer, config):
    """Rises during WARMUP, then falls to zero along a cosine."""
    warmup = max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, config["TOTAL_STEPS"] - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
