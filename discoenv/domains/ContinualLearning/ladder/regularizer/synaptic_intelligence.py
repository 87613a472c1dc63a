"""Parameters are held back by how much their way has lowered the loss. Zenke, Poole and Ganguli 2017."""

import torch

#: Factor of the penalty, and what keeps importances of parameters that did not move finite; both as in the paper.
STRENGTH, DAMPING = 0.1, 0.1


class Regularizer:
    """Synaptic intelligence: importances are path integrals of the gradient."""

    def __init__(self, config, seed):
        self.importance = {}

    def begin_experience(self, task, params):
        """The path begins."""
        self.anchor = self.last = params
        self.path = {name: torch.zeros_like(value) for name, value in params.items()}

    def penalty(self, step):
        """STRENGTH Σ importance (parameter - anchor)²."""
        parts = [
            (importance * (step.params[name] - self.anchor[name]).square()).sum()
            for name, importance in self.importance.items()
        ]
        return STRENGTH * sum(parts) if parts else 0.0

    def after_step(self, step, gradients, params):
        """Add what the step has lowered the loss by, to first order, without the penalty's part of the gradient."""
        for name, gradient in gradients.items():
            importance = self.importance.get(name, 0.0)
            own = gradient - 2 * STRENGTH * importance * (self.last[name] - self.anchor[name])
            self.path[name] -= own * (params[name] - self.last[name])
        self.last = params

    def end_experience(self, task, params, finished):
        """Importances grow by the path over the squared distance from its beginning to its end."""
        for name, path in self.path.items():
            gain = path.clamp(min=0.0) / ((params[name] - self.anchor[name]).square() + DAMPING)
            self.importance[name] = self.importance.get(name, 0.0) + gain

    def state_dict(self):
        """Importances by name."""
        return {"importance": self.importance}

    def load_state_dict(self, state):
        """Importances as they were rounded."""
        self.importance = state["importance"]
