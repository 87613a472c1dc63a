"""Parameters are held back by how much the outputs depend on them. Aljundi et al. 2018, Memory aware synapses."""

#: Factor of the penalty, as in the paper.
STRENGTH = 1.0


class Regularizer:
    """Importances are mean absolute gradients of the squared length of the logits; they need no labels."""

    def __init__(self, config, seed):
        self.count = config["FISHER_SAMPLES"]
        self.importance = {}

    def begin_experience(self, task, params):
        """Parameters are held to where they are."""
        self.anchor = params

    def penalty(self, step):
        """STRENGTH Σ importance (parameter - anchor)²."""
        parts = [
            (importance * (step.params[name] - self.anchor[name]).square()).sum()
            for name, importance in self.importance.items()
        ]
        return STRENGTH * sum(parts) if parts else 0.0

    def after_step(self, step, gradients, params):
        """Nothing to do."""

    def end_experience(self, task, params, finished):
        """Importances are added up over experiences."""
        for gradients in finished.gradients(self.count, of="norm"):
            for name, gradient in gradients.items():
                self.importance[name] = self.importance.get(name, 0.0) + gradient.abs() / self.count

    def state_dict(self):
        """Importances by name."""
        return {"importance": self.importance}

    def load_state_dict(self, state):
        """Importances as they were rounded."""
        self.importance = state["importance"]
