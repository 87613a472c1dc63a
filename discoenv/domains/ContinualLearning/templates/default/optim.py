"""The optimiser of the network."""

import torch


def create_optimizer(named_parameters, config):
    """An optimiser of all parameters.

    Args:
        named_parameters: list of (name, torch.nn.Parameter): ``trunk.…`` and ``head.…`` (``heads.<experience>.…`` in
            the backend parameter_isolation). All of them, also the head of classes still to come.
        config: the run's configuration (immutable mapping).

    Returns:
        torch.optim.Optimizer: its ``step()`` is called once per training step, after the gradients have been computed.
        A parameter whose ``grad`` is None has to stay as it is.
    """
    # <solution>
    parameters = [parameter for _, parameter in named_parameters]
    return torch.optim.AdamW(parameters, lr=config["LR"], weight_decay=config["WEIGHT_DECAY"])
    # </solution>
