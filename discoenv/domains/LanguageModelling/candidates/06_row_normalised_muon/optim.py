"""The optimisers."""

import torch


def create_optimizers(model, config):
    """The optimisers of the model's parameters.

    Args:
        model: torch.nn.Module, after init.py.
        config: the run's configuration (dict): VOCABULARY, STEPS, MATRIX_LR, LR, WEIGHT_DECAY.

    Returns:
        list of torch.optim.Optimizer, each with ``param_groups``. Before each step the fixed loop sets "lr" of every
        group to its first value times what schedule.py says, and clips the norm of all gradients at MAX_GRAD_NORM.
    """

    class NorMuon(torch.optim.Optimizer):
        """Muon whose rows move equally far in the long run (Li et al. 2025, NorMuon)."""

        def __init__(self, matrices, lr, weight_decay, momentum=0.95):
            super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

        @torch.no_grad()
        def step(self, closure=None):
            """As Muon, but for each row's running mean square, by whose root the row is divided; the norm is kept."""
            for group in self.param_groups:
                for matrix in group["params"]:
                    if matrix.grad is None:
                        continue
                    average = self.state[matrix].setdefault("average", torch.zeros_like(matrix))
                    average.lerp_(matrix.grad, 1.0 - group["momentum"])
                    update = orthogonal(matrix.grad.lerp(average, group["momentum"]))
                    norm = update.norm()
                    squares = self.state[matrix].setdefault("squares", torch.zeros_like(matrix[:, :1]))
                    squares.lerp_(update.square().mean(dim=1, keepdim=True), 0.05)
                    update = update / (squares.sqrt() + 1e-8)
                    update = update * (norm / (update.norm() + 1e-12))
                    matrix.mul_(1.0 - group["lr"] * group["weight_decay"])
                    matrix.add_(update, alpha=-group["lr"] * max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5)

    def orthogonal(matrix):
        """Nearly U Vᵀ of ``matrix`` = U S Vᵀ, by five Newton–Schulz steps."""
        wide = matrix.shape[0] <= matrix.shape[1]
        x = matrix if wide else matrix.T
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        return x if wide else x.T

    hidden = [each for each in model.parameters() if each.ndim == 2 and config["VOCABULARY"] not in each.shape]
    chosen = {id(each) for each in hidden}
    others = [each for each in model.parameters() if id(each) not in chosen]
    adam = torch.optim.Adam(others, lr=config["LR"], betas=(0.9, 0.95), eps=1e-10)
    return [adam, NorMuon(hidden, config["MATRIX_LR"], config["WEIGHT_DECAY"])] if hidden else [adam]
