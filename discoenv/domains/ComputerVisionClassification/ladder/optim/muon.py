"""Muon: momentum that is made orthogonal, for matrices; AdamW for all else. Jordan et al. 2024."""

import math

import torch

MOMENTUM, BETAS, EPSILON = 0.95, (0.9, 0.999), 1e-8


def orthogonal(matrix, steps=5):
    """Roughly U V^T of float32[M, N] = U S V^T: a quintic iteration moves the singular values close to one."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """Groups with "matrices" have orthogonal updates, others those of AdamW."""

    def __init__(self, groups, lr):
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "matrices": False})

    @torch.no_grad()
    def step(self, closure=None):
        """Decay, then move by the learning rate along what :meth:`_matrix` or :meth:`_adam` says."""
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    update = (self._matrix if group["matrices"] else self._adam)(each)
                    each.mul_(1.0 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"])

    def _matrix(self, each):
        """Nesterov momentum, made orthogonal and as large as Adam's updates usually are (Liu et al. 2025)."""
        state = self.state[each]
        if not state:
            state["momentum"] = torch.zeros_like(each)
        state["momentum"].lerp_(each.grad, 1.0 - MOMENTUM)
        matrix = each.grad.lerp(state["momentum"], MOMENTUM).flatten(1)
        return (0.2 * math.sqrt(max(matrix.shape)) * orthogonal(matrix)).view_as(each)

    def _adam(self, each):
        state = self.state[each]
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(each), "square": torch.zeros_like(each)}
        state["step"] += 1
        state["mean"].lerp_(each.grad, 1.0 - BETAS[0])
        state["square"].lerp_(each.grad.square(), 1.0 - BETAS[1])
        mean = state["mean"] / (1.0 - BETAS[0] ** state["step"])
        return mean / ((state["square"] / (1.0 - BETAS[1] ** state["step"])).sqrt() + EPSILON)


def create_optimizer(model, config):
    """Matrices are all kernels but the last layer's, whose rows belong to single classes."""
    *matrices, last = (each for each in model.parameters() if each.ndim > 1)
    others = [each for each in model.parameters() if each.ndim <= 1]
    decay = config["WEIGHT_DECAY"]
    groups = [{"params": matrices, "weight_decay": decay, "matrices": True}] if matrices else []
    return Muon([*groups, {"params": [last], "weight_decay": decay}, {"params": others}], lr=config["LR"])


def create_scheduler(optimizer, config):
    """Rises during WARMUP, then falls to zero along a cosine."""
    warmup = max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, config["TOTAL_STEPS"] - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
