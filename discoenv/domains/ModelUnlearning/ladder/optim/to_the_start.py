"""Adam, and a pull to the first parameters (L2-SP, Li et al. 2018), decoupled as in AdamW."""

import torch

#: Part of the way back, at a learning rate of 1.
PULL = 10.0


def create_optimizer(named_parameters, config):
    """The optimiser of the parameters that may change, list of (name, torch.nn.Parameter)."""
    return PulledAdam([each for _, each in named_parameters], lr=config["LR"], pull=PULL)


def create_scheduler(optimizer, config):
    """The learning rate rises for a WARMUP part of TOTAL_STEPS, and falls to zero."""
    total, warmup = config["TOTAL_STEPS"], max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warmup, 1.0 - step / (total + 1)))


class PulledAdam(torch.optim.Adam):
    """Adam; ``pull`` is the part of the distance to the first parameters that a step of rate 1 would undo."""

    def __init__(self, parameters, lr, pull):
        super().__init__(parameters, lr=lr)
        self.pull = pull
        self.first = {each: each.detach().clone() for group in self.param_groups for each in group["params"]}

    @torch.no_grad()
    def step(self):
        """Take a step with the gradients, then go back a little."""
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.lerp_(self.first[parameter], self.pull * group["lr"])
