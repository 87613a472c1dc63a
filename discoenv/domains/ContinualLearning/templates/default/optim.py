"""The optimiser of the network. Each experience has a new one.

To keep something of it, define ``state_dict(optimizer)``, which returns a dict of arrays and numbers, and
``load_state_dict(optimizer, state)``, which is called with it when the next experience's optimiser has been made.
Arrays are tensors then, those of floats rounded and on the network's device; see the task's description.
"""

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
    return torch.optim.AdamW(parameters, lr=config["LR"], weight_decay=config["WEIGHT_DECAY"], fused=True)
    # </solution>
