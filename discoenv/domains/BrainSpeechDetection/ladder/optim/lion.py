"""Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms")."""

import math

import torch


class Lion(torch.optim.Optimizer):
    """Steps by the sign of an interpolation between momentum and gradient, with decoupled weight decay."""

    def __init__(self, parameters, lr, decay):
        super().__init__(parameters, {"lr": lr, "decay": decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                momentum = state.setdefault("momentum", torch.zeros_like(parameter))
                direction = torch.sign(0.9 * momentum + 0.1 * parameter.grad)
                parameter.mul_(1.0 - group["lr"] * group["decay"]).sub_(direction, alpha=group["lr"])
                momentum.mul_(0.99).add_(parameter.grad, alpha=0.01)


def create_optimizer(model, config):
    """A fifth of the rate of AdamW, and five times its decay."""
    return Lion(model.parameters(), 0.2 * config["LR"], 5.0 * config["WEIGHT_DECAY"])


def create_scheduler(optimizer, config):
    """A short warm-up, and half a cosine down to zero."""
    warmup = max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, config["TOTAL_STEPS"] - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
