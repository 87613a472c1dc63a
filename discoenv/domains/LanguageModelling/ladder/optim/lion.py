"""Lion, the sign of an interpolated momentum (Chen et al. 2023, Symbolic discovery of optimization algorithms)."""

import torch


def create_optimizers(model, config):
    """List of the optimisers that hold the model's parameters."""
    return [Lion(model.parameters(), {"lr": 0.1 * config["LR"]})]


class Lion(torch.optim.Optimizer):
    """Moves each parameter by the learning rate, in the direction of the sign of its smoothed gradient."""

    @torch.no_grad()
    def step(self, closure=None):
        """One update."""
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    average = self.state[each].setdefault("average", torch.zeros_like(each))
                    each.sub_(group["lr"] * torch.sign(0.9 * average + 0.1 * each.grad))
                    average.lerp_(each.grad, 0.01)
