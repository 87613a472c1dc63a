"""Lion: signs of a mixture of gradient and momentum (Chen et al. 2023)."""

import torch


def create_optimizer(named_parameters, config):
    """The optimiser of the parameters that may change, list of (name, torch.nn.Parameter)."""
    return Lion([each for _, each in named_parameters], lr=0.3 * config["LR"], betas=(0.9, 0.99))


def create_scheduler(optimizer, config):
    """The learning rate rises for a WARMUP part of TOTAL_STEPS, and falls to zero."""
    total, warmup = config["TOTAL_STEPS"], max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warmup, 1.0 - step / (total + 1)))


class Lion(torch.optim.Optimizer):
    """Settings: lr, betas."""

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
        first, second = group["betas"]
        parameter.sub_((first * momentum + (1 - first) * gradient).sign(), alpha=group["lr"])
        momentum.mul_(second).add_(gradient, alpha=1 - second)
