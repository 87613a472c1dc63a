"""Momentum that is orthogonalised, for matrices; AdamW for the rest (Jordan et al. 2024, Muon)."""

import math

import torch


def orthogonalised(matrix, rounds=5):
    """Nearly U Vᵀ of a matrix U S Vᵀ, by Newton and Schulz's iteration of fifth order."""
    x = matrix / (matrix.norm() + 1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(rounds):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Two kinds of parameters: groups with ``matrix`` true are orthogonalised."""

    def __init__(self, groups, lr):
        super().__init__(groups, {"lr": lr, "matrix": False, "momentum": 0.95, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure=None):
        """One step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                state["step"] = state.get("step", 0) + 1
                first = state.setdefault("first", torch.zeros_like(parameter))
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                if group["matrix"]:
                    first.mul_(group["momentum"]).add_(parameter.grad)
                    update = orthogonalised(parameter.grad + group["momentum"] * first)
                    scale = 0.6 * math.sqrt(max(parameter.shape))
                    parameter.add_(update, alpha=-group["lr"] * scale)
                else:
                    second = state.setdefault("second", torch.zeros_like(parameter))
                    first.lerp_(parameter.grad, 0.1)
                    second.lerp_(parameter.grad.square(), 0.01)
                    ahead = first / (1.0 - 0.9 ** state["step"])
                    spread = (second / (1.0 - 0.99 ** state["step"])).sqrt() + 1e-8
                    parameter.addcdiv_(ahead, spread, value=-group["lr"])


def create_optimizer(model, config):
    """Matrices within the network are orthogonalised; vectors, and what reads inputs and writes outputs, are not."""
    matrices = [each for each in model.parameters() if each.ndim == 2 and min(each.shape) >= 16]
    known = {id(each) for each in matrices}
    others = [each for each in model.parameters() if id(each) not in known]
    groups = [{"params": matrices, "matrix": True, "weight_decay": config["WEIGHT_DECAY"]}, {"params": others}]
    return Muon([group for group in groups if group["params"]], config["LR"])


def create_scheduler(optimizer, config):
    """A short warm-up, then down along a cosine."""
    total, warmup = config["TOTAL_STEPS"], max(1, round(config["WARMUP"] * config["TOTAL_STEPS"]))

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
