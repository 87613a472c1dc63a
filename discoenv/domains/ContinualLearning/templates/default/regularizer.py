"""A penalty for forgetting, added to the loss."""

import torch


class Regularizer:
    """Remembers what matters to past experiences.

    Args:
        config: the run's configuration (immutable mapping).
        seed: of its randomness.
    """

    def __init__(self, config, seed):
        self.config = config
        self.generator = torch.Generator().manual_seed(seed)
        self.anchor = {}
        self.importance = {}

    def begin_experience(self, task, params):
        """An experience begins.

        Args:
            task: its number, 0 to TASKS - 1.
            params: copies of the network's parameters by name.
        """

    def penalty(self, step):
        """What is added to the mean loss of a batch.

        Args:
            step: a ``Step`` (see views.py): parameters, logits, features and losses; gradients flow through them.

        Returns:
            torch.Tensor: a finite scalar, or 0.0.
        """
        # <solution>
        if not self.anchor:
            return 0.0
        squares = [
            (self.importance[name] * (value - self.anchor[name]) ** 2).sum() for name, value in step.params.items()
        ]
        return 0.5 * self.config["EWC_STRENGTH"] * sum(squares)
        # </solution>

    def after_step(self, step, gradients, params):
        """A training step has been taken.

        Args:
            step: its number over the whole stream.
            gradients: copies of its gradients by parameter name, the penalty's included; some may have none.
            params: copies of the parameters after it, by name.
        """

    def end_experience(self, task, params, finished):
        """An experience is over.

        Args:
            task: its number.
            params: copies of the network's parameters by name.
            finished: a ``Finished`` (see views.py), which gives gradients at the experience's validation images.
        """
        # <solution>
        # Elastic weight consolidation (Kirkpatrick et al. 2017), its importances added up over experiences: the
        # diagonal of the Fisher information, which is the mean square of the gradients of single images.
        count = self.config["FISHER_SAMPLES"]
        fisher = {name: torch.zeros_like(value) for name, value in params.items()}
        for gradients in finished.gradients(count, of="sampled"):
            for name, gradient in gradients.items():
                fisher[name] += gradient**2 / count
        for name, value in fisher.items():
            self.importance[name] = self.config["EWC_DECAY"] * self.importance.get(name, 0.0) + value
        self.anchor = params
        # </solution>
