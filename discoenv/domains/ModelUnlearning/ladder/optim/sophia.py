"""Steps along the momentum over the curvature, clipped (Sophia, Liu et al. 2023; for unlearning Jia et al. 2024).

The curvature is that of squared gradients, which needs no further pass."""

import torch


def create_optimizer(named_parameters, config):
    """The optimiser of the parameters that may change, list of (name, torch.nn.Parameter)."""
    return Sophia([each for _, each in named_parameters], lr=config["LR"], betas=(0.9, 0.95), gamma=1.0)


def create_scheduler(optimizer, config):
    """The learning rate rises for a WARMUP part of TOTAL_STEPS, and falls to zero."""
    total, warmup = config["TOTAL_STEPS"], max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warmup, 1.0 - step / (total + 1)))


class Sophia(torch.optim.Optimizer):
    """Settings: lr, betas, gamma (curvature beside which steps are clipped)."""

    def __init__(self, parameters, **settings):
        super().__init__(parameters, settings)

    @torch.no_grad()
    def step(self):
        """Take a step with the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.change(parameter, parameter.grad, self.state[parameter], group)

    def change(self, parameter, gradient, state, group):
        """Change one parameter, in place."""
        momentum = state.setdefault("momentum", torch.zeros_like(parameter))
        curvature = state.setdefault("curvature", torch.zeros_like(parameter))
        first, second = group["betas"]
        momentum.mul_(first).add_(gradient, alpha=1 - first)
        curvature.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        step = momentum / (group["gamma"] * curvature.sqrt()).clamp(min=1e-8)
        parameter.sub_(step.clamp(-1.0, 1.0), alpha=group["lr"])
