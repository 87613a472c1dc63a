"""The optimiser, and how its learning rate changes."""

import torch


def create_optimizer(named_parameters, config):
    """The optimiser of the parameters that may change.

    Args:
        named_parameters: list of (name, torch.nn.Parameter).
        config: the run's configuration (dict): LR, TOTAL_STEPS.

    Returns:
        torch.optim.Optimizer. The norm of all gradients together is clipped at MAX_GRAD_NORM before each of its steps.
    """
    # <solution>
    return torch.optim.AdamW([parameter for _, parameter in named_parameters], lr=config["LR"], weight_decay=0.0)
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
    total, warmup = config["TOTAL_STEPS"], max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warmup, 1.0 - step / (total + 1)))
    # </solution>
