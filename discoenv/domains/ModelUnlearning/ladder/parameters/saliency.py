"""The part with the largest gradients of the loss on the texts to forget (SalUn, Fan et al. 2024)."""

import torch
from network import answer_losses

#: Part of all numbers that may change.
SHARE = 0.5


def trainable(model, forget, retain, config):
    """Choose what is trained: dict of True, False or a bool tensor, by the parameter's name.

    Args:
        model: the model as it was in the beginning.
        forget, retain: Batches (see network.py) of all texts.
        config: the run's configuration (dict).
    """
    answer_losses(model, forget).mean().backward()
    sizes = {name: parameter.grad.abs() for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad(set_to_none=True)
    every = torch.cat([each.flatten() for each in sizes.values()])
    least = every.kthvalue(max(1, round((1 - SHARE) * len(every)))).values
    return {name: each > least for name, each in sizes.items()}
