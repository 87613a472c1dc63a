"""The optimiser, and how its learning rate changes."""

import math

import torch


def create_optimizer(model, config):
    """The optimiser of the model's parameters.

    Args:
        model: torch.nn.Module.
        config: the run's configuration (dict): LR, WEIGHT_DECAY, TOTAL_STEPS.

    Returns:
        torch.optim.Optimizer. train.py clips the norm of all gradients at MAX_GRAD_NORM before each of its steps.
    """
    # <solution>
    decayed = [each for each in model.parameters() if each.ndim > 1]
    others = [each for each in model.parameters() if each.ndim <= 1]  # biases and normalisation
    groups = [{"params": decayed, "weight_decay": config["WEIGHT_DECAY"]}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config["LR"])
    # </solution>


def create_scheduler(optimizer, config):
    """The schedule of the learning rate; its ``step()`` is called after each of TOTAL_STEPS steps of the optimiser.

    Args:
        optimizer: as from ``create_optimizer``.
        config: the run's configuration (dict): TOTAL_STEPS, WARMUP (share of the steps).

    Returns:
        torch.optim.lr_scheduler.LRScheduler, or anything else with ``step()``.
    """
    # <solution>
    warmup = max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, config["TOTAL_STEPS"] - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    # </solution>
