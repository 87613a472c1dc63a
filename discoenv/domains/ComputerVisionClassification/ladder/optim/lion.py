"""Lion: the sign of an interpolated momentum. Chen et al. 2023."""

import math

import torch

#: By how much the learning rate is smaller, and the weight decay larger, than those of AdamW; 3 to 10 in the paper.
FACTOR = 5.0


class Lion(torch.optim.Optimizer):
    """Every number moves by the learning rate, up or down."""

    def __init__(self, groups, lr, betas=(0.9, 0.99)):
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure=None):
        """Move along sign(b1 m + (1 - b1) g), then let m follow g at the rate 1 - b2."""
        for group in self.param_groups:
            first, second = group["betas"]
            for each in group["params"]:
                if each.grad is None:
                    continue
                state = self.state[each]
                if not state:
                    state["momentum"] = torch.zeros_like(each)
                momentum = state["momentum"]
                each.mul_(1.0 - group["lr"] * group["weight_decay"])
                each.sub_(momentum.lerp(each.grad, 1.0 - first).sign_(), alpha=group["lr"])
                momentum.lerp_(each.grad, 1.0 - second)


def create_optimizer(model, config):
    """Biases and normalisation do not decay."""
    decayed = [each for each in model.parameters() if each.ndim > 1]
    others = [each for each in model.parameters() if each.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": FACTOR * config["WEIGHT_DECAY"]}, {"params": others}]
    return Lion(groups, lr=config["LR"] / FACTOR)


def create_scheduler(optimizer, config):
    """Rises during WARMUP, then falls to zero along a cosine."""
    warmup = max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, config["TOTAL_STEPS"] - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
