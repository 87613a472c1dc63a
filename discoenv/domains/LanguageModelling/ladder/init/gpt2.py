"""Normal with a deviation of 0.02, smaller where blocks add to the stream (Radford et al. 2019, GPT-2)."""

import torch
from torch import nn


def initialise(model, config):
    """Set the parameters of a new network, in place."""
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                added = name.split(".")[-1] in ("out", "down")
                nn.init.normal_(module.weight, std=0.02 / (2 * config["LAYERS"]) ** 0.5 if added else 0.02)
