"""What matters more for the texts to forget than for those to retain (Foster et al. 2024, there to dampen it)."""

import torch
from network import text_losses

#: Part of all numbers that may change; texts in one gradient.
SHARE, GROUP = 0.3, 8


def trainable(model, forget, retain, config):
    """Choose what is trained: dict of True, False or a bool tensor, by the parameter's name.

    Args:
        model: the model as it was in the beginning.
        forget, retain: Batches (see network.py) of all texts.
        config: the run's configuration (dict).
    """
    importance = []
    for texts in (forget, retain):
        sums = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
        for rows in torch.arange(len(texts.tokens)).split(GROUP):
            model.zero_grad(set_to_none=True)
            text_losses(model, texts.take(rows)).mean().backward()
            for name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    sums[name] += parameter.grad**2 / len(texts.tokens)
        importance.append(sums)
    model.zero_grad(set_to_none=True)
    ratios = {name: importance[0][name] / (importance[1][name] + 1e-12) for name in importance[0]}
    every = torch.cat([each.flatten() for each in ratios.values()])
    least = every.kthvalue(max(1, round((1 - SHARE) * len(every)))).values
    return {name: each > least for name, each in ratios.items()}
