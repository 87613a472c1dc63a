"""After the first experience the trunk learns more slowly than the last layer. Zhang et al. 2023, SLCA."""

import torch

#: Learning rate of the trunk, relative to that of the last layer.
SLOWER = 0.1


class SlowTrunk(torch.optim.AdamW):
    """AdamW whose groups have factors of their learning rates, whatever a scheduler sets them to.

    Attributes:
        experiences: number of those that are over.
    """

    experiences = 0

    def step(self, closure=None):
        """A step of AdamW with the rates of the groups."""
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] *= SLOWER if group["trunk"] and self.experiences else 1.0
        super().step()
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate


def create_optimizer(named_parameters, config):
    """Two groups."""
    groups = [
        {"params": [value for name, value in named_parameters if name.startswith("trunk.") == trunk], "trunk": trunk}
        for trunk in (True, False)
    ]
    return SlowTrunk(groups, lr=config["LR"], weight_decay=config["WEIGHT_DECAY"], fused=True)


def state_dict(optimizer):
    """How many experiences there have been."""
    return {"experiences": optimizer.experiences + 1}


def load_state_dict(optimizer, state):
    """As it was."""
    optimizer.experiences = state["experiences"]
