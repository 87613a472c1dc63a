"""Where training starts: the first values of the network's parameters."""

import torch
from torch import nn


def initialise(model, config):
    """Set the parameters of a new network, in place. PyTorch's own values are what it finds.

    Args:
        model: the torch.nn.Module of networks.py; ``named_modules()`` and ``named_parameters()`` list what it has.
        config: the run's configuration (dict): WIDTH, LAYERS, VOCABULARY.

    Returns:
        None. All randomness comes from torch's global generator, which is seeded.
    """
    # <solution>
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=1.0)
            elif isinstance(module, nn.Linear):
                if name.split(".")[-1] in ("out", "down", "head"):  # what is added to the stream starts at nothing
                    nn.init.zeros_(module.weight)
                else:
                    bound = (3.0 / module.in_features) ** 0.5
                    nn.init.uniform_(module.weight, -bound, bound)
    # </solution>
